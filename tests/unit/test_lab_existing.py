"""In somebody else's cluster the lab touches only what it has made."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.demo import demo
from lab.shop import OURS

HIS, OWN = 'shop {"kubernetes.io/metadata.name":"shop"}', f'shop {{"{OURS}":"true"}}'


class Existing(Lab):
    """A cluster of somebody else's, in which namespace `shop` looks like this."""

    def __init__(self, folder: Path, shop: str) -> None:
        config = folder / "config"
        config.write_text("apiVersion: v1\nkind: Config\n")
        super().__init__(existing=True, env={"KUBECONFIG": str(config), "XDG_STATE_HOME": str(folder)})
        self.shop = shop
        self.said: list[tuple[str, ...]] = []

    def kubectl(self, *args: str, stdin: str | None = None, timeout: float | None = 120) -> str:
        """Note it, and answer for the namespace."""
        self.said.append(args)
        return self.shop if args[:2] == ("get", "namespace") else ""

    @property
    def written(self) -> list[str]:
        """The verbs that change something."""
        return [args[0] for args in self.said if args[0] not in ("get", "rollout")]


def test_the_demo_leaves_a_namespace_alone_that_the_lab_has_not_made(tmp_path: Path) -> None:
    lab = Existing(tmp_path, HIS)
    with pytest.raises(LabError, match="namespace shop exists in this cluster and was not made by the lab"):
        demo(lab, lambda _: None)
    assert lab.written == []


@pytest.mark.parametrize("act", [Lab.shop_up, Lab.shop_down])
def test_so_do_up_and_down(tmp_path: Path, act: object) -> None:
    lab = Existing(tmp_path, HIS)
    with pytest.raises(LabError, match="kubectl label namespace shop"):
        act(lab)  # type: ignore[operator]  # one of two methods
    assert lab.written == []


@pytest.mark.parametrize("shop", ["", OWN])
def test_what_the_lab_has_made_it_may_make_anew(tmp_path: Path, shop: str) -> None:
    lab = Existing(tmp_path, shop)
    lab.shop_up()
    lab.shop_down()
    assert lab.written == ["apply", "apply", "delete"]
