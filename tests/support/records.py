"""Records for tests: one example of each kind, and Hypothesis strategies for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from meterseal.bodies import (
    Body,
    CheckpointPointer,
    Clock,
    Event,
    EventCode,
    Gap,
    GapReason,
    Interval,
    KeyChange,
    Kind,
    Manifest,
    MeterIdentity,
    MeterReading,
    MeterState,
    Publishes,
    Reading,
    Restore,
    RestoreReason,
    S0Input,
)
from meterseal.errors import ProtocolError
from meterseal.keys import SigningKey, device_id
from meterseal.quantities import UNSIGNED_CODES
from meterseal.records import Light, Record, encode_record, record_hash
from meterseal.rows import Row, meter_id
from meterseal.types import ZERO_HASH, DeviceId, Epoch, Hash, PublicKey, Seq, UnixMs

if TYPE_CHECKING:
    from collections.abc import Callable

KEY: Final = SigningKey.from_seed(bytes(range(32)))
OTHER_KEY: Final = SigningKey.from_seed(bytes(range(32, 64)))
DEVICE: Final = device_id(KEY.public)
NOON: Final = UnixMs(1_780_056_000_000)
H1: Final = Hash(bytes([0x11]) * 32)
H2: Final = Hash(bytes([0x22]) * 32)

METER: Final = MeterIdentity(
    make="Eastron",
    model="SDM630 Modbus V2",
    serial="19340712",
    firmware="1.18",
    profile="eastron-sdm630",
    profile_hash=H2,
    bus="rs485",
    address=1,
)
MANIFEST: Final = Manifest(
    public_key=KEY.public,
    software="meterseal-agent 0.1.0",
    meters=(METER,),
    s0=(S0Input(name="gas", pulses_per_kwh=100),),
    interval_s=900,
    tolerance_ms=5000,
    publishes=Publishes.READINGS,
)
READING: Final = Reading(
    meters=(
        MeterReading(
            meter=0,
            state=MeterState.GOOD,
            offset_ms=0,
            values={1: 1_234_567, 2: 89_012, 16: -1_512, 24: 230_123, 33: None},
            raw={1: bytes.fromhex("449a522b"), 2: None},
        ),
        MeterReading(meter=3, state=MeterState.TIMEOUT, offset_ms=-40, values={}, raw={}),
    )
)
ROW: Final = Row(
    meter=0,
    state=MeterState.GOOD,
    clock=Clock.SYNCHRONISED,
    flags=0,
    opening_import_wh=1_234_000,
    opening_export_wh=89_000,
    closing_import_wh=1_234_567,
    closing_export_wh=None,
    opening_offset_ms=312,
    closing_offset_ms=298,
    meter_id=meter_id(METER),
)
INTERVAL: Final = Interval(
    start=UnixMs(NOON - 900_000),
    end=NOON,
    first_seq=Seq(0),
    count=1,
    root=H1,
    manifest_hash=H2,
    checkpoint=CheckpointPointer(size=4711, root=H1),
    flags=Interval.PARTIAL,
    rows=(ROW,),
)
BODIES: Final[tuple[Body, ...]] = (
    MANIFEST,
    READING,
    INTERVAL,
    Gap(start=UnixMs(1), end=NOON, reason=GapReason.POWER_OFF, meter=None),
    Event(code=EventCode.CLOCK_STEP, detail=(-1250, b"\x01", "ntp", None)),
    Restore(
        reason=RestoreReason.AGGREGATOR_AHEAD, nonce=bytes(range(16)), missing=(Seq(7), Seq(9))
    ),
    KeyChange(public_key=OTHER_KEY.public),
)


def record_of(body: Body, **changes: Any) -> Record:  # noqa: ANN401 - any field of a record
    """Wrap a body as seq 1, light 1 of DEVICE."""
    record = Record(
        device=DEVICE,
        epoch=Epoch(0),
        seq=Seq(1),
        time=NOON,
        clock=Clock.SYNCHRONISED,
        prev=H1,
        kind=body.kind,
        body=body,
        up=86_400_000,
        light=None if body.kind is Kind.READING else Light(n=1, hash=H1),
    )
    return replace(record, **changes)


EVENT_RECORD: Final = record_of(Event(code=EventCode.BOOT))


def signed(record: Record, key: SigningKey = KEY) -> tuple[bytes, Hash]:
    """Encode a record and give its hash."""
    data = encode_record(record, key)
    return data, record_hash(data)


def genesis() -> Record:
    """Begin the chain of DEVICE."""
    return record_of(MANIFEST, seq=Seq(0), prev=ZERO_HASH, light=Light(n=0, hash=ZERO_HASH))


def outcome(parser: Callable[[bytes], object], data: bytes) -> object:
    """Parse, and give the value or the peer's fault; anything else escapes and fails the test."""
    try:
        return parser(data)
    except ProtocolError as error:
        return error


UINT = st.integers(0, 2**63 - 1)
HASH = st.binary(min_size=32, max_size=32).map(Hash)
KEYS = st.binary(min_size=32, max_size=32).map(PublicKey)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp")), max_size=16
)
STATES = st.sampled_from(MeterState)
CLOCKS = st.sampled_from(Clock)


@st.composite
def _meter_reading(draw: st.DrawFn, meter: int) -> MeterReading:
    state = draw(STATES)
    values: dict[int, int | None] = {}
    raw: dict[int, bytes | None] = {}
    if state is MeterState.GOOD:
        for code in sorted(draw(st.sets(st.integers(1, 80), max_size=8))):
            low = 0 if code in UNSIGNED_CODES else -(2**63)
            values[code] = draw(st.none() | st.integers(low, 2**63 - 1))
            if draw(st.booleans()):
                words = st.binary(min_size=1, max_size=8).map(lambda half: half + half)
                raw[code] = draw(st.none() | words)
    return MeterReading(
        meter=meter, state=state, offset_ms=draw(st.integers(-5000, 5000)), values=values, raw=raw
    )


@st.composite
def _readings(draw: st.DrawFn) -> Reading:
    indexes = draw(st.lists(st.integers(0, 63), min_size=1, max_size=4, unique=True).map(sorted))
    return Reading(meters=tuple(draw(_meter_reading(index)) for index in indexes))


_WH = st.none() | UINT
_MS = st.none() | st.integers(0, 2**32 - 2)
_ROWS = st.lists(st.integers(0, 63), max_size=3, unique=True).flatmap(
    lambda indexes: st.tuples(
        *(
            st.builds(
                Row,
                meter=st.just(index),
                state=STATES,
                clock=CLOCKS,
                flags=st.integers(0, 63),
                opening_import_wh=_WH,
                opening_export_wh=_WH,
                closing_import_wh=_WH,
                closing_export_wh=_WH,
                opening_offset_ms=_MS,
                closing_offset_ms=_MS,
                meter_id=st.binary(min_size=16, max_size=16),
            )
            for index in sorted(indexes)
        )
    )
)
_SPANS = st.tuples(UINT, UINT).map(sorted)
_METERS = st.lists(
    st.builds(
        MeterIdentity,
        make=TEXT,
        model=TEXT,
        serial=TEXT,
        firmware=TEXT,
        profile=TEXT,
        profile_hash=HASH,
        bus=TEXT,
        address=st.integers(0, 255),
    ),
    max_size=3,
).map(tuple)
_MANIFESTS = st.builds(
    Manifest,
    public_key=KEYS,
    witness_key=st.none() | KEYS,
    evidence_key=st.none() | st.binary(min_size=33, max_size=33),
    software=TEXT,
    meters=_METERS,
    s0=st.lists(
        st.builds(S0Input, name=TEXT, pulses_per_kwh=st.integers(0, 10_000)), max_size=2
    ).map(tuple),
    interval_s=st.sampled_from([1, 60, 300, 900, 3600, 86_400]),
    tolerance_ms=st.integers(0, 1000),
    publishes=st.sampled_from(Publishes),
)
_INTERVALS = _SPANS.flatmap(
    lambda span: st.builds(
        Interval,
        start=st.just(UnixMs(span[0])),
        end=st.just(UnixMs(span[1])),
        first_seq=UINT,
        count=UINT,
        root=HASH,
        manifest_hash=HASH,
        checkpoint=st.none() | st.builds(CheckpointPointer, size=UINT, root=HASH),
        flags=st.integers(0, 1),
        evidence_signature=st.none() | st.binary(min_size=64, max_size=64),
        rows=_ROWS,
    )
)
_GAPS = _SPANS.flatmap(
    lambda span: st.builds(
        Gap,
        start=st.just(UnixMs(span[0])),
        end=st.just(UnixMs(span[1])),
        reason=st.sampled_from(GapReason),
        meter=st.none() | st.integers(0, 63),
    )
)
_EVENTS = st.builds(
    Event,
    code=st.sampled_from(EventCode),
    detail=st.lists(
        st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=64) | TEXT, max_size=4
    ).map(tuple),
)
_RESTORES = st.builds(
    Restore,
    reason=st.sampled_from(RestoreReason),
    nonce=st.binary(min_size=16, max_size=16),
    missing=st.none() | _SPANS.map(lambda span: (Seq(span[0]), Seq(span[1]))),
)
BODY: Final[st.SearchStrategy[Body]] = st.one_of(
    _MANIFESTS,
    _readings(),
    _INTERVALS,
    _GAPS,
    _EVENTS,
    _RESTORES,
    st.builds(KeyChange, public_key=KEYS),
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw a record of any kind that the strict reader accepts."""
    body = draw(BODY)
    return Record(
        device=DeviceId(draw(st.binary(min_size=16, max_size=16))),
        epoch=Epoch(draw(UINT)),
        seq=Seq(draw(UINT)),
        time=UnixMs(draw(UINT)),
        clock=draw(CLOCKS),
        prev=draw(HASH),
        kind=body.kind,
        body=body,
        up=draw(UINT),
        light=None if body.kind is Kind.READING else Light(n=draw(UINT), hash=draw(HASH)),
    )
