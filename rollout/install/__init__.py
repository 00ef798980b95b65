"""What an installation consists of: every object as a plain document, in the order in which it is applied.

rbac.py      the rights of the controller, by feature, and the roles of people
policies.py  the kinds and the admission policies
workload.py  namespace, Deployment and what goes with it
manifests.py all of it, in order
folder.py    the same as a kustomize base
apply.py     brings documents into a cluster, and takes them out again
available.py waits until the controller runs
leaving.py   ends runs and holds before the controller goes
"""

from rollout.install.manifests import manifests
from rollout.install.options import Options

__all__ = ["Options", "manifests"]
