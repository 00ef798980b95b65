"""Finding a way into a cluster, and saying clearly when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.adapters.kube.access import find
from rollout.errors import InvalidInput

TOKEN = "s3cr3t-t0ken"
KUBECONFIG = """
clusters: [{name: c, cluster: {server: "http://api.example.com"}}]
users: [{name: u, user: {token: TOKEN}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: shop}}, {name: y, context: {cluster: c, user: u}}]
current-context: x
""".replace("TOKEN", TOKEN)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    return path


async def test_the_named_file_and_its_current_context_are_used(kubeconfig: Path) -> None:
    access, client = await find(str(kubeconfig), None)
    await client.close()
    assert (access.context, access.namespace) == ("x", "shop")
    assert access.configuration.host == "http://api.example.com"


async def test_a_context_can_be_chosen(kubeconfig: Path) -> None:
    access, client = await find(str(kubeconfig), "y")
    await client.close()
    assert (access.context, access.namespace) == ("y", "default")


async def test_the_environments_file_is_used(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}.absent:{kubeconfig}")
    access, client = await find(None, None)
    await client.close()
    assert access.files == (str(kubeconfig),)


async def test_a_context_that_is_not_there_lists_those_that_are(kubeconfig: Path) -> None:
    with pytest.raises(InvalidInput, match="no context z; there are: x, y"):
        await find(str(kubeconfig), "z")


async def test_no_kubeconfig_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no kubeconfig") as caught:
        await find(None, None)
    assert "--kubeconfig" in caught.value.hint


async def test_a_named_file_that_is_absent_is_not_replaced_by_another(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with pytest.raises(InvalidInput, match="absent does not exist"):
        await find(f"{kubeconfig}.absent", None)


async def test_a_service_account_that_is_not_mounted_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(InvalidInput, match="service account"):
        await find(None, None)


@pytest.mark.parametrize(
    "broken",
    [
        KUBECONFIG.replace("user: {token", "user: {token: [") + "]",
        KUBECONFIG.replace("{name: u, user: {token: " + TOKEN + "}}", "{name: u, nothing: {token: " + TOKEN + "}}"),
        KUBECONFIG.replace("server:", "address:"),
        KUBECONFIG + "users: 7",
        "just words",
        "",
    ],
)
async def test_a_broken_kubeconfig_is_named_and_never_quoted(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "config"
    path.write_text(broken)
    with pytest.raises(InvalidInput) as caught:
        await find(str(path), None)
    assert str(path) in str(caught.value)
    assert TOKEN not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


async def test_the_environments_proxy_is_read_once(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example.com:3128")
    access, client = await find(str(kubeconfig), None)
    await client.close()
    assert access.configuration.proxy == "http://proxy.example.com:3128"
    monkeypatch.setenv("no_proxy", "api.example.com")
    access, client = await find(str(kubeconfig), None)
    await client.close()
    assert access.configuration.proxy is None
