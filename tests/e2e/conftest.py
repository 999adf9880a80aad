import pytest

from varve import Server


@pytest.fixture
def start(tmp_path):
    """start(name="data", **kwargs): a running server, ended with the test."""
    servers = []

    def make(name="data", **kwargs):
        server = Server(tmp_path / name, **kwargs)
        servers.append(server)
        return server

    yield make
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture
def varve(start):
    return start()
