"""The parts and how they find each other: folders, ports, configurations, order of start.

Everything lies below one folder and is kept between runs. Ports are chosen anew at each start
(except those given), so that nothing of a former run can stand in the way.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meterseal_simulator.demo.child import Child, ChildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORIGIN = "demo.meterseal.example/log"
METERING_POINT = "DE0001234567890000000000000000001"
TRUST_WITHIN_S = 60.0
MARK = ".meterseal-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the demonstration runs.

    Attributes:
        read_every_s: Seconds between readings.
        interval_s: Length of an interval in seconds; a real gateway has 900.
        anchor_every_s: Seconds between anchors.
        page_port: Port of the status page; 0 takes any.
        speed: Simulated seconds of the house per second.
    """

    read_every_s: int = 5
    interval_s: int = 10
    anchor_every_s: int = 5
    page_port: int = 0
    speed: float = 1.0
    publish: str = "readings"


class Stage:
    """All parts of the demonstration, as children, below one folder.

    A test that puts another part in the place of one overrides the method that starts it.
    """

    def __init__(self, root: Path, settings: Settings, say: Callable[[str], None]) -> None:
        self.root = root
        self.settings = settings
        self.say = say
        self.children: dict[str, Child] = {}
        self.page = ""
        self.device = ""
        self.contract = ""
        self.broker_port = 0
        self.ledger_url = ""
        self.operator: dict[str, Any] = {}
        self.agent_config = root / "agent" / "meterseal.toml"
        self.aggregator_config = root / "aggregator" / "aggregator.toml"
        self.trust = root / "trust.toml"
        self.evidence = root / "evidence"

    def start(self) -> None:
        """Bring everything up, in the order in which each needs the other.

        Raises:
            ChildError: A part did not start.
        """
        folders = ("logs", "agent", "aggregator", "broker", "ledger", "house", "evidence")
        for folder in folders:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        ports = free_ports(2, ours=self.settings.page_port)
        self.broker_port, page_port = ports
        (self.root / MARK).touch()
        self.start_broker()
        self.start_ledger()
        self.start_house()
        # They start side by side: each takes about a second of imports.
        for child in self.children.values():
            child.await_ready()
        self._aggregator()
        self._agent(page_port)

    def start_child(self, name: str, *arguments: str, announces: bool) -> Child:
        """Start a part, without waiting; with `announces`, it will say that it is ready."""
        child = Child(
            name=name,
            arguments=arguments,
            log=self.root / "logs" / f"{name}.log",
            announces=announces,
        )
        self.children[name] = child
        child.spawn()
        return child

    def start_broker(self) -> None:
        """Start what takes the broker's place, on `broker_port`."""
        self.say("broker: nats-server, MQTT on loopback")
        self.start_child(
            "broker", *python("meterseal_simulator"), "broker", "--data", str(self.root / "broker"),
            "--port", str(self.broker_port), announces=True,
        )  # fmt: skip

    def start_ledger(self) -> None:
        """Start the ledger and learn its address."""
        # A port of our choice, so that a restarted ledger comes back where its clients look for it.
        (port,) = free_ports(1)
        self.ledger_url = f"http://127.0.0.1:{port}"
        self.start_child(
            "ledger", *python("meterseal_simulator"), "ledger", "--data", str(self.root / "ledger"),
            "--port", str(port), announces=True,
        )  # fmt: skip
        self.say("ledger: an EVM in this machine; its four validators are keys of one process")

    def start_house(self) -> None:
        """Start what answers on the line."""
        house = self.root / "house"
        self.say("house: meters and inverter on a simulated RS-485 line, 9600 baud")
        self.start_child(
            "house", *python("meterseal_simulator"), "house", "--pty", str(house / "ttyRS485"),
            "--speed", str(self.settings.speed), "--state", str(house / "state.json"),
            "--truth", str(house / "truth.jsonl"), "--control", str(house / "control"),
            announces=True,
        )  # fmt: skip

    def _aggregator(self) -> None:
        data = self.root / "aggregator" / "data"
        ready = self.children["ledger"].ready
        self.aggregator_config.write_text(
            f"""[aggregator]
data_dir = "{data}"
origin = "{ORIGIN}"
checkpoint_every_s = 1
anchor_every_s = {self.settings.anchor_every_s}

[mqtt]
host = "127.0.0.1"
port = {self.broker_port}

[ledger]
url = "{self.ledger_url}"
chain_id = {ready["chain_id"]}
deploy = true
key_file = "{ready["funded_key_file"]}"
"""
        )
        self.operator = self._remembered(
            "operator", "meterseal_aggregator", "init", "--config", str(self.aggregator_config)
        )
        self.say("aggregator: verifies, stores, logs, anchors")
        self.start_child(
            "aggregator", *python("meterseal_aggregator"), "run",
            "--config", str(self.aggregator_config), announces=False,
        )  # fmt: skip

    def _agent(self, page_port: int) -> None:
        self._write_agent_config(page_port, pins="")
        identity = self._remembered(
            "identity", "meterseal_agent", "init", "--config", str(self.agent_config)
        )
        self.device = identity["device"]
        if not self.trust.exists():
            self._enrol(identity)
            self.trust.write_text(self._await_trust())
        self.contract = tomllib.loads(self.trust.read_text())["ledger"]["contract"]
        self._write_agent_config(page_port, pins=self._pins())
        self.page = f"http://127.0.0.1:{page_port}/"
        self.say(f"agent: reads, signs, stores, publishes; its page is {self.page}")
        self.start_child(
            "agent",
            *python("meterseal_agent"),
            "run",
            "--config",
            str(self.agent_config),
            announces=False,
        )

    def _remembered(self, name: str, *command: str) -> dict[str, Any]:
        """What a command said about itself in the first run; it does not change."""
        path = self.root / f"{name}.json"
        if not path.exists():
            path.write_text(self.command(*command, "--json"))
        told: dict[str, Any] = json.loads(path.read_text())
        return told

    def _enrol(self, identity: dict[str, Any]) -> None:
        known = json.loads(
            self.command(
                "meterseal_aggregator", "devices", "--config", str(self.aggregator_config), "--json"
            )
        )
        if any(device["device"] == self.device for device in known):
            return
        self.command(
            "meterseal_aggregator", "enrol", "--config", str(self.aggregator_config),
            "--device", self.device, "--public-key", identity["public_key"],
            "--metering-point", METERING_POINT,
        )  # fmt: skip

    def _await_trust(self) -> str:
        """The policy, once the log contract stands on the ledger."""
        until = time.monotonic() + TRUST_WITHIN_S
        while True:
            self.children["aggregator"].check()
            text = self.command(
                "meterseal_aggregator", "trust", "--config", str(self.aggregator_config)
            )
            if "[ledger]" in text and self.device in text:
                return text
            if time.monotonic() > until:
                raise ChildError(
                    "the aggregator did not deploy the log contract within "
                    f"{TRUST_WITHIN_S:.0f} s; see {self.children['aggregator'].log}"
                )
            time.sleep(0.2)

    def _write_agent_config(self, page_port: int, pins: str) -> None:
        data = self.root / "agent" / "data"
        marker = self.root / "agent" / "run"
        marker.mkdir(exist_ok=True)
        self.agent_config.write_text(
            f"""[agent]
data_dir = "{data}"
marker_dir = "{marker}"
interval_s = {self.settings.interval_s}
tolerance_ms = {min(5000, self.settings.interval_s * 400)}
read_every_s = {self.settings.read_every_s}
publish = "{self.settings.publish}"
clock = "trusted"

{self.meters()}
[status]
host = "127.0.0.1"
port = {page_port}
{pins}"""
        )

    def _pins(self) -> str:
        """The tables [mqtt], [aggregator] and [ledger]: whom the agent believes."""
        policy = tomllib.loads(self.trust.read_text())
        witnesses = ", ".join(
            f'{{ key = "{one["key"]}", owner = "{one["owner"]}" }}'
            for one in policy.get("witness", ())
        )
        ledger = policy["ledger"]
        validators = ", ".join(f'"{one}"' for one in ledger["validators"])
        return f"""
[mqtt]
host = "127.0.0.1"
port = {self.broker_port}

[aggregator]
origin = "{policy["log"]["origin"]}"
log_key = "{policy["log"]["key"]}"
head_key = "{self.operator["head_key"]}"
witnesses = [{witnesses}]
quorum = {policy["quorum"]["witnesses"]}

[ledger]
chain_id = {ledger["chain_id"]}
contract = "{ledger["contract"]}"
registrant = "{ledger["registrant"]}"
code_hash = "{ledger["code_hash"]}"
validators = [{validators}]
"""

    def meters(self) -> str:
        """The tables [[bus]] and [[meter]] of the agent's configuration."""
        return f"""[[bus]]
name = "rs485"
port = "{self.root / "house" / "ttyRS485"}"
baud = 9600

[[meter]]
name = "grid"
bus = "rs485"
address = 1
profile = "eastron-sdm630"
role = "grid"

[[meter]]
name = "solar"
bus = "rs485"
address = 2
profile = "eastron-sdm230"
role = "pv"

[[meter]]
name = "inverter"
bus = "rs485"
address = 3
profile = "sunspec-inverter"
role = "pv"
"""

    def command(self, *arguments: str) -> str:
        """Run one command to its end and return what it printed.

        Raises:
            ChildError: It failed; the message carries what it said.
        """
        done = subprocess.run(  # noqa: S603 our own commands
            [*python(arguments[0]), *arguments[1:]], capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise ChildError(f"{' '.join(arguments[:2])} failed ({done.returncode}): {said}")
        return done.stdout

    def kill(self, name: str) -> None:
        """Kill one part, as a power cut would."""
        self.children[name].kill()

    def restart(self, name: str) -> None:
        """Start a part again, with the arguments that it had."""
        self.children[name].start()

    def check(self) -> None:
        """Raise ChildError when a part ended by itself."""
        for child in self.children.values():
            child.check()

    def stop(self) -> None:
        """End every part, the readers first, so that nothing signed is left unsent."""
        for name in ("agent", "aggregator", "house", "ledger", "broker"):
            if name in self.children:
                self.children[name].stop()

    def clear(self) -> None:
        """Forget a former run.

        Raises:
            ChildError: The folder is not one that a demonstration made.
        """
        if not self.root.exists():
            return
        if not (self.root / MARK).exists() and any(self.root.iterdir()):
            raise ChildError(f"{self.root} was not made by a demonstration; name another --data")
        shutil.rmtree(self.root)


def python(module: str) -> tuple[str, ...]:
    """The beginning of a command of this distribution."""
    return (sys.executable, "-m", module)


def free_ports(count: int, ours: int = 0) -> list[int]:
    """Ports of the loopback that are free now; `ours`, if given, is the last of them."""
    sockets = [socket.socket() for _ in range(count - bool(ours))]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return [*ports, ours] if ours else ports
