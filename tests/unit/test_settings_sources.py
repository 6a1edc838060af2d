"""Sources and destinations are read from the settings file."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from nightread.settings import Settings, load_settings
from nightread.sources import FolderSource, OrthancSource, ReceiverSource

STORE = '[[sources]]\nname = "a"\nkind = "orthanc"\nurl = "http://pacs"'


def _settings(folder: Path, text: str) -> Settings:
    file = folder / "night.toml"
    file.write_text(text)
    return load_settings(file)


def test_a_source_without_a_kind_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is relative to the folder in which the command was started, since child processes run elsewhere."""
    monkeypatch.chdir(tmp_path)
    (source,) = _settings(tmp_path, '[[sources]]\nname = "inbox"\npath = "drop"').sources
    assert isinstance(source, FolderSource)
    assert source.path == tmp_path / "drop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[sources]]\nname = "a"\nkind = "orthank"', "`kind` must be one of folder"),
        ('[[destinations]]\nname = "a"', "store (C-STORE) or stow (STOW-RS)"),
        ('[[sources]]\nname = "archives"\npath = "/a"', "is reserved for the members of archives"),
        ('[[sources]]\nname = "a"\npath = "/a"\n[[sources]]\nname = "a"\npath = "/b"', "the name a is used twice"),
        ('[[sources]]\nname = "a"\nkind = "orthanc"\nurl = "http://me:secret@pacs"', "String should match pattern"),
        (f'{STORE}\nlogin = {{ user = "me" }}', "give either `user`"),
        (f'{STORE}\nlogin = {{ user = "me", password = "secret", password_file = "/a" }}', "give either `user`"),
        (f'{STORE}\nlogin = {{ user = "me", bearer_file = "/a" }}', "give either `user`"),
        (f'{STORE}\nlogin = {{ password_file = "/a" }}', "give either `user`"),
    ],
)
def test_invalid_entries_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """The error names the reason and quotes no value that may be a secret."""
    with pytest.raises(ValidationError) as refused:
        _settings(tmp_path, text)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_child_processes_get_complete_sources_and_people_see_no_secret(tmp_path: Path) -> None:
    """The environment holds kind and password; displayed values are masked."""
    login = 'login = { user = "me", password = "secret" }'
    settings = _settings(tmp_path, f'[[sources]]\nname = "pacs"\nkind = "orthanc"\nurl = "http://pacs"\n{login}')
    (passed,) = json.loads(settings.to_environment()["NIGHTREAD_SOURCES"])
    assert OrthancSource(**passed) == settings.sources[0]
    assert passed["login"]["password"] == "secret"
    assert "secret" not in settings.model_dump_json()


def test_sources_and_callers_may_name_a_trust_group(tmp_path: Path) -> None:
    """Spaces around it do not count; an empty one is refused, since it would join nothing."""
    caller = '{ ae_title = "CT1", address = "10.1.0.5", trust = "radiology " }'
    text = f'[[sources]]\nname = "a"\nkind = "receiver"\ntrust = "hospital"\ncallers = [{caller}]'
    (source,) = _settings(tmp_path, f'overwrite_policy = "never"\n{text}').sources
    assert isinstance(source, ReceiverSource)
    assert (source.trust, source.callers[0].trust) == ("hospital", "radiology")
    for wrong in ('trust = ""', 'trust = " "'):
        with pytest.raises(ValidationError, match="at least 1 character"):
            _settings(tmp_path, f'[[sources]]\nname = "a"\npath = "/a"\n{wrong}')
    with pytest.raises(ValidationError, match="'never', 'same_source' or 'any'"):
        _settings(tmp_path, 'overwrite_policy = "always"')
