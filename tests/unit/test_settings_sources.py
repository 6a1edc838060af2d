"""Sources and destinations in the settings file."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from nightread.settings import Settings, load_settings
from nightread.sources import FolderSource, OrthancSource


def _settings(folder: Path, text: str) -> Settings:
    file = folder / "night.toml"
    file.write_text(text)
    return load_settings(file)


def test_a_source_without_a_kind_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is meant from where the command was given, since children run elsewhere."""
    monkeypatch.chdir(tmp_path)
    (source,) = _settings(tmp_path, '[[sources]]\nname = "inbox"\npath = "drop"').sources
    assert isinstance(source, FolderSource)
    assert source.path == tmp_path / "drop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[sources]]\nname = "a"\nkind = "orthank"', "`kind` must be one of folder"),
        ('[[destinations]]\nname = "a"', "store (C-STORE) or stow (STOW-RS)"),
        ('[[sources]]\nname = "archives"\npath = "/a"', "is reserved for the members of archives"),
        ('[[sources]]\nname = "a"\npath = "/a"\n[[sources]]\nname = "a"\npath = "/b"', "the name a is used twice"),
        ('[[sources]]\nname = "a"\nkind = "orthanc"\nurl = "http://me:secret@pacs"', "String should match pattern"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """With a reason, and without quoting what may be a secret."""
    with pytest.raises(ValidationError) as refused:
        _settings(tmp_path, text)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_children_get_sources_whole_and_people_no_secret(tmp_path: Path) -> None:
    """The kind and the password travel in the environment; what is shown is masked."""
    login = 'login = { user = "me", password = "secret" }'
    settings = _settings(tmp_path, f'[[sources]]\nname = "pacs"\nkind = "orthanc"\nurl = "http://pacs"\n{login}')
    (passed,) = json.loads(settings.to_environment()["NIGHTREAD_SOURCES"])
    assert OrthancSource(**passed) == settings.sources[0]
    assert passed["login"]["password"] == "secret"
    assert "secret" not in settings.model_dump_json()
