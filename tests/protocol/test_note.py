"""Signed notes: C2SP's format, byte for byte, against public notes and our own known answers."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError, ProtocolError, SignatureInvalid
from meterseal.keys import SigningKey
from meterseal.note import (
    NOTE_SIZE_MAX,
    SIGNATURES_MAX,
    Cosigner,
    NoteSignature,
    SignatureType,
    Signer,
    UnknownSigner,
    Verifier,
    open_note,
    parse_note,
    sign_note,
    write_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = Signer(name="log.example/1", key=SigningKey.from_seed(bytes(32)))
WITNESS = Cosigner(name="witness.example/w", key=SigningKey.from_seed(bytes([1]) * 32))
TEXT = "log.example/1\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
NOTE = write_note(TEXT, [LOG.sign(TEXT), WITNESS.cosign(TEXT, 1_700_000_000)])
KEYS = (LOG.verifier, WITNESS.verifier)


def test_a_note_opens_to_its_text_and_the_signatures_of_known_keys() -> None:
    opened = open_note(NOTE, KEYS)

    assert opened.text == TEXT
    assert [(each.by, each.time_s) for each in opened.signed] == [
        (LOG.verifier, None),
        (WITNESS.verifier, 1_700_000_000),
    ]
    assert opened.unknown == ()
    assert write_note(opened.text, [each.line for each in opened.signed]) == NOTE


def test_a_key_that_is_not_known_is_ignored() -> None:
    opened = open_note(NOTE, [LOG.verifier])

    assert [each.by.name for each in opened.signed] == ["log.example/1"]
    assert [each.name for each in opened.unknown] == ["witness.example/w"]


def test_a_known_key_with_a_bad_signature_rejects_the_note_despite_a_good_one() -> None:
    forged = NoteSignature(
        name=WITNESS.name, key_id=WITNESS.verifier.key_id, signature=bytes(8) + bytes(64)
    )
    note = write_note(TEXT, [LOG.sign(TEXT), forged])

    with pytest.raises(SignatureInvalid, match=r"witness\.example/w"):
        open_note(note, KEYS)


def test_a_note_without_a_known_signature_is_refused_and_says_whose_it_carries() -> None:
    stranger = Signer(name=LOG.name, key=SigningKey.from_seed(bytes([9]) * 32))
    note = sign_note(TEXT, stranger)

    with pytest.raises(UnknownSigner, match=re.escape(stranger.verifier.key_id.hex())):
        open_note(note, KEYS)
    with pytest.raises(UnknownSigner, match="no key at all"):
        open_note(note, [])


def test_two_of_the_readers_own_keys_with_one_name_and_key_id_are_refused() -> None:
    class Colliding(Verifier):
        """Four bytes are found to collide by trying; here by saying so."""

        key_id = LOG.verifier.key_id

    twin = Colliding(name=LOG.name, kind=SignatureType.ED25519, public=WITNESS.verifier.public)

    with pytest.raises(ProtocolError, match="two known keys"):
        open_note(NOTE, [LOG.verifier, twin])


def test_a_plain_signature_and_a_cosignature_by_one_key_are_two_keys() -> None:
    both = Cosigner(name=LOG.name, key=LOG.key)

    assert both.verifier.key_id != LOG.verifier.key_id
    note = write_note(TEXT, [both.cosign(TEXT, 7)])
    with pytest.raises(UnknownSigner):
        open_note(note, [LOG.verifier])


def test_the_text_may_hold_blank_lines_and_the_last_one_splits() -> None:
    text = "Ognuno sta solo sul cuor della terra\n\ned è subito sera.\n"

    assert open_note(sign_note(text, LOG), KEYS).text == text


def test_a_line_separator_of_unicode_is_no_line_end() -> None:
    text = "one\u2028line\u0085still\n"

    assert open_note(sign_note(text, LOG), KEYS).text == text


def test_sixteen_signatures_are_read_and_too_many_are_not() -> None:
    lines = [LOG.sign(TEXT)] * SIGNATURES_MAX

    assert len(open_note(write_note(TEXT, lines[:16]), KEYS).signed) == 16
    with pytest.raises(EncodingError, match="65 signatures"):
        open_note(write_note(TEXT, [*lines, lines[0]]), KEYS)


def test_a_note_beyond_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(EncodingError, match="at most"):
        open_note(b"x" * (NOTE_SIZE_MAX + 1), KEYS)


@pytest.mark.parametrize("at", range(len(NOTE)))
def test_every_flipped_bit_of_a_note_is_refused_or_hides_a_signature(at: int) -> None:
    """A flip in a name or key id makes a key unknown; it never changes what is believed."""
    for bit in range(8):
        data = bytearray(NOTE)
        data[at] ^= 1 << bit
        try:
            opened = open_note(bytes(data), KEYS)
        except ProtocolError:
            continue
        assert opened.text == TEXT
        assert len(opened.signed) == len(opened.unknown) == 1


@pytest.mark.parametrize("length", range(len(NOTE)))
def test_a_note_cut_short_is_refused_or_lacks_a_whole_line(length: int) -> None:
    try:
        opened = open_note(NOTE[:length], KEYS)
    except EncodingError:
        return
    assert NOTE[:length] == write_note(TEXT, [LOG.sign(TEXT)])
    assert opened.text == TEXT


@pytest.mark.parametrize("rubbish", [b"\n", b" ", b"\0", b"x", b"\n\n", b"\xe2\x80\x94"])
def test_a_note_with_rubbish_after_it_is_refused(rubbish: bytes) -> None:
    with pytest.raises(EncodingError):
        open_note(NOTE + rubbish, KEYS)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_note_or_an_encoding_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        parse_note(data + b"x")


@given(st.text(max_size=300))
def test_any_text_is_a_note_or_an_encoding_error(text: str) -> None:
    data = text.encode(errors="replace")
    try:
        body, lines = parse_note(data)
    except EncodingError:
        return
    assert write_note(body, lines) == data


@given(
    st.text(st.characters(blacklist_categories=["Cs"], min_codepoint=32), max_size=60),
    st.integers(0, 2**63 - 1),
)
def test_what_is_written_opens_again(line: str, time_s: int) -> None:
    text = line + "\n"

    note = write_note(text, [LOG.sign(text), WITNESS.cosign(text, time_s)])

    opened = open_note(note, KEYS)
    assert opened.text == text
    assert opened.signed[1].time_s == time_s


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "bell\x07\n", "cr\r\n", "nul\0\n"])
def test_a_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(EncodingError):
        LOG.sign(text)
    with pytest.raises(EncodingError):
        WITNESS.cosign(text, 1)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\tb", "\x1fa"]
)
def test_a_key_name_with_a_space_or_a_plus_is_refused(name: str) -> None:
    with pytest.raises(EncodingError, match="key name"):
        Verifier(name=name, kind=SignatureType.ED25519, public=LOG.verifier.public)


def test_a_time_beyond_63_bits_is_refused_even_if_signed() -> None:
    line = WITNESS.cosign(TEXT, 2**63)

    with pytest.raises(SignatureInvalid):
        open_note(write_note(TEXT, [line]), KEYS)


def test_a_vkey_is_read_in_one_form_only() -> None:
    vkey = LOG.verifier.vkey
    name, key_id, key = vkey.split("+", 2)

    assert Verifier.parse(vkey) == LOG.verifier
    assert Verifier.parse(WITNESS.verifier.vkey) == WITNESS.verifier
    for other in (
        vkey + "\n",
        " " + vkey,
        f"{name}+{key_id.upper()}+{key}" if key_id.upper() != key_id else "",
        f"{name}+{key_id[1:]}+{key}",
        f"{name}+{int(key_id, 16) ^ 1:08x}+{key}",
        f"{name}+{key_id}+{key[:-4]}",
        f"{name}x+{key_id}+{key}",
    ):
        with pytest.raises(EncodingError):
            Verifier.parse(other)


def test_the_public_vkeys_of_transparency_dev_hold(vectors: Callable[[str], Path]) -> None:
    cases = json.loads(vectors("vectors/transparency-dev-formats/vkeys.json").read_text())

    for name, vkey, valid in cases:
        try:
            accepted = Verifier.parse(vkey).vkey == vkey
        except EncodingError:
            accepted = False
        assert accepted is valid, name
    assert len(cases) == 9


def test_the_public_notes_of_go_and_c2sp_verify(vectors: Callable[[str], Path]) -> None:
    cases = json.loads(vectors("vectors/golang-mod/notes.json").read_text())

    for name, vkeys, note in cases:
        opened = open_note(note.encode(), [Verifier.parse(each) for each in vkeys])
        assert len(opened.signed) == 1, name
    assert len(cases) == 3


def test_the_known_keys_are_those_of_their_seeds(repository: Path) -> None:
    known: Any = json.loads((repository / "protocol/vectors/notes.json").read_text())

    for each in known["keys"]:
        key = SigningKey.from_seed(bytes.fromhex(each["seed"]))
        verifier = Verifier(name=each["name"], kind=SignatureType(each["type"]), public=key.public)
        assert verifier.public.hex() == each["public"]
        assert verifier.key_id.hex() == each["key_id"]
        assert verifier.vkey == each["vkey"]
    assert len(known["keys"]) == 3
