"""The command line of the lab: `python -m lab VERB`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable

from lab import fake
from lab.build import PROFILES, build
from lab.cluster import Lab
from lab.errors import LabError
from lab.load import Load
from lab.lock import RUNTIME, runtime_lock


def say(line: str) -> None:
    """Print a line of progress, at once, beside the output proper."""
    print(line, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    args = _parser().parse_args(argv)
    verbs: dict[str, Callable[[argparse.Namespace], int]] = {
        "build": _build,
        "up": _up,
        "down": _down,
        "status": _status,
        "env": _env,
        "shop": _shop,
        "lock": _lock,
        "fault": _fault,
        "controller": _controller,
        "load": _load,
        "demo": _demo,
    }
    try:
        return verbs[args.verb](args)
    except LabError as error:
        say(error.explain())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="default", help="which lab; several can be up at once")
    common.add_argument("--existing", action="store_true", default=None, help="use the cluster of $KUBECONFIG instead")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (("build", "build what a profile needs, and start nothing"), ("up", "build and start the lab")):
        one = verbs.add_parser(verb, help=text, parents=[common])
        one.add_argument("--profile", choices=PROFILES, default="istio")
        one.add_argument("--fake-nodes", action="store_true", help="profile api: pods that are ready and do nothing")
    verbs.add_parser("down", help="stop the lab and remove all traces", parents=[common])
    verbs.add_parser("status", help="say what runs", parents=[common])
    verbs.add_parser("env", help="print the variables by which others find the lab", parents=[common])
    shop = verbs.add_parser("shop", help="a small web server to deliver to", parents=[common])
    shop.add_argument("action", choices=["up", "down"])
    shop.add_argument("--namespace", default="shop")
    controller = verbs.add_parser("controller", help="the controller as pods, from the code as it is", parents=[common])
    controller.add_argument("action", choices=["up", "down"])
    controller.add_argument("--namespaces", default="", help="only these, with commas between them")
    controller.add_argument("--replicas", type=int, default=2)
    controller.add_argument(
        "--image-version", default="", help="as what version; another one is something to upgrade to"
    )
    fault = verbs.add_parser("fault", help="break something, or heal it", parents=[common])
    fault.add_argument("action", choices=["stop", "start", "kill", "freeze", "thaw", "network", "heal"])
    fault.add_argument("target", nargs="?", default="", help="a program of the lab, istiod, or a pod as NAMESPACE/NAME")
    fault.add_argument("--delay", type=float, default=0, help="network: milliseconds")
    fault.add_argument("--loss", type=float, default=0, help="network: a fraction of the packets, from 0 to 1")
    verbs.add_parser("lock", help="write requirements.runtime.lock again, from requirements.lock and this environment")
    verbs.add_parser("demo", help="a good canary and a bad one, under load", parents=[common])
    load = verbs.add_parser("load", help="requests to the shop, and what became of them", parents=[common])
    load.add_argument("action", choices=["start", "stop", "report"])
    load.add_argument("--namespace", default="shop")
    load.add_argument("--outsider", action="store_true", help="from a pod without a sidecar, in namespace default")
    load.add_argument("--rate", type=int, default=100, help="requests a second")
    load.add_argument("--url", default=None, help="default: the shop")
    load.add_argument("--duration", type=float, default=0, help="seconds; 0 is until stopped")
    load.add_argument("--no-keepalive", action="store_true", help="a new connection for each request")
    load.add_argument("--last", type=float, default=None, help="report only the last so many seconds")
    return parser


def _lab(args: argparse.Namespace) -> Lab:
    return Lab(args.name, existing=args.existing)


def _build(args: argparse.Namespace) -> int:
    build(args.profile, _lab(args).site.cache, say, more=fake.artefacts if args.fake_nodes else tuple)
    return 0


def _up(args: argparse.Namespace) -> int:
    lab = _lab(args)
    lab.up(args.profile, say, fake_nodes=args.fake_nodes)
    if lab.existing:
        lab.shop_up()
    say(f'lab {lab.name} is up; for its variables: eval "$(python -m lab env --name {lab.name})"')
    return 0


def _down(args: argparse.Namespace) -> int:
    _lab(args).down()
    return 0


def _status(args: argparse.Namespace) -> int:
    lab = _lab(args)
    print(f"lab {lab.name}: {lab.profile or 'down'}")
    programs = lab.status()
    for name, state in programs.items():
        print(f"  {name:26s}{state}")
    return 0 if lab.profile and "dead" not in programs.values() else 1


def _env(args: argparse.Namespace) -> int:
    for name, value in _lab(args).environment().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _shop(args: argparse.Namespace) -> int:
    lab = _lab(args)
    (lab.shop_up if args.action == "up" else lab.shop_down)(args.namespace)
    return 0


def _controller(args: argparse.Namespace) -> int:
    lab = _lab(args)
    if args.action == "down":
        lab.controller_down()
        return 0
    only = [one for one in args.namespaces.split(",") if one]
    print(lab.controller_up(only, replicas=args.replicas, version=args.image_version, progress=say))
    return 0


def _fault(args: argparse.Namespace) -> int:
    faults = _lab(args).faults
    if args.action == "heal":
        faults.heal()
    elif args.action == "network":
        faults.network(delay_ms=args.delay, loss=args.loss, pod=args.target)
    elif not args.target:
        raise LabError(f"fault {args.action} needs a target: a program of the lab, istiod, or NAMESPACE/POD")
    else:
        getattr(faults, args.action)(args.target)
    return 0


def _lock(_: argparse.Namespace) -> int:
    RUNTIME.write_text(runtime_lock())
    return 0


def _demo(args: argparse.Namespace) -> int:
    from lab.demo import demo  # needs the product and its dependencies; the other verbs need nothing

    return demo(_lab(args), say)


def _load(args: argparse.Namespace) -> int:
    lab = _lab(args)
    if args.outsider:
        load, url = Load(lab, "default", "outsider", meshed=False), f"http://web.{args.namespace}/"
    else:
        load, url = Load(lab, args.namespace), "http://web/"
    if args.action == "start":
        load.start(args.rate, args.url or url, duration=args.duration, keepalive=not args.no_keepalive)
        return 0
    if args.action == "stop":
        load.stop()
    since = 0
    if args.last is not None:
        since = load.report(until=0).now_ns - int(args.last * 1e9)
    print(load.report(since))
    return 0


if __name__ == "__main__":
    sys.exit(main())
