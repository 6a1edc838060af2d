"""The login of a store may come from a file, as container engines mount secrets."""

import base64
import json
from pathlib import Path

import pytest
from web_server import Reply, running_web_server

from nightread.sources import Login
from nightread.web import HttpClient, RefusedError


@pytest.mark.parametrize(("login", "scheme"), [("password_file", "Basic"), ("bearer_file", "Bearer")])
def test_the_login_may_come_from_a_file(tmp_path: Path, login: str, scheme: str) -> None:
    """A file that cannot be used is an error that does not quote it."""
    file = tmp_path / "secret"
    user = {"user": "me"} if scheme == "Basic" else {}
    with running_web_server(lambda asked: Reply(body=[json.dumps(asked.headers["Authorization"]).encode()])) as server:
        given = Login.model_validate({**user, login: file})
        for content in (None, "", "two\nlines"):
            if content is not None:
                file.write_text(content)
            with pytest.raises(RefusedError, match=r"the file of its login on this host (cannot be read|is not one)"):
                HttpClient(server.url, login=given)
        file.write_text("t0ken\n")
        wanted = base64.b64encode(b"me:t0ken").decode() if user else "t0ken"
        assert HttpClient(server.url, login=given).json("who") == f"{scheme} {wanted}"
