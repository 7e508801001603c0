"""API keys: made, stored as a digest, found again."""

import hashlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from catalog.errors import UserError
from service.keys import find_key, main, new_key, read_keys


def test_a_new_key_is_found_by_its_text_alone() -> None:
    """Not by another key's text, its digest or a part of it."""
    (first, shop), (second, office) = new_key("shop"), new_key("office")
    keys = (shop, office)
    assert find_key(keys, first) == shop
    assert find_key(keys, second) == office
    for wrong in ("", first[:-1], first + "a", first.upper(), shop.digest, "shop", "\udcff"):
        assert find_key(keys, wrong) is None


def test_only_a_digest_is_stored() -> None:
    """The SHA-256 of a text with at least 256 random bits, which differs each time."""
    text, key = new_key("shop")
    assert key.digest == hashlib.sha256(text.encode()).hexdigest()
    assert text not in repr(key)
    assert len(text) >= 43
    assert new_key("shop")[0] != text


def test_a_file_of_keys_is_read(tmp_path: Path) -> None:
    """Comments and empty lines are ignored."""
    (_, shop), (_, office) = new_key("shop"), new_key("office-2.b")
    path = tmp_path / "keys"
    path.write_text(f"# who may ask\n\n{shop.name}:{shop.digest}\n  {office.name}:{office.digest}\n")
    assert read_keys(str(path)) == (shop, office)


DIGEST = "a" * 64


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("# nobody\n", id="nobody"),
        pytest.param("shop", id="no digest"),
        pytest.param(f"shop:{DIGEST[1:]}", id="short digest"),
        pytest.param(f"shop:{DIGEST.upper()}", id="capital letters"),
        pytest.param(f":{DIGEST}", id="no name"),
        pytest.param(f"the shop:{DIGEST}", id="name with a space"),
        pytest.param(f"shop:{DIGEST}\nshop:{DIGEST}", id="one name twice"),
        pytest.param("ca_secret-text-of-a-key", id="the key itself"),
        pytest.param("sh\u00f6p:" + DIGEST, id="not ASCII"),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused_without_showing_it(tmp_path: Path, content: str) -> None:
    """The message names file and line, never the content."""
    path = tmp_path / "keys"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_keys(str(path))
    assert str(caught.value).startswith(f"API_KEYS_FILE: {path}")
    assert "secret-text" not in str(caught.value)


def test_an_absent_file_is_the_users_to_mend(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UserError, match="cannot be read"):
        read_keys(str(tmp_path / "nowhere"))


def test_the_command_prints_a_line_to_store_and_the_key_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line on standard output, so that it can be appended to the file; the key on standard error."""
    main(["new", "shop"], standalone_mode=False)
    told = capsys.readouterr()
    (tmp_path / "keys").write_text(told.out)
    found = re.search(r"ca_[A-Za-z0-9_-]+", told.err)
    assert found
    assert find_key(read_keys(str(tmp_path / "keys")), found[0]) is not None
    assert found[0] not in told.out


def test_the_command_refuses_a_name_that_no_file_can_hold() -> None:
    """Usage errors exit with 2."""
    for name in ("", "a:b", "a b", "-x" * 40):
        assert CliRunner().invoke(main, ["new", "--", name]).exit_code == 2
