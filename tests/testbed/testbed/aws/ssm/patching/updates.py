"""Updates of a simulated machine: what Windows Update would offer it, and what of that is installed.

An update in JSON (``updates`` of a node)::

    {"kb": "KB5041578", "title": "…", "classification": "SecurityUpdates", "severity": "Critical", "product": "WindowsServer2022",
     "state": "Missing" | "Installed" | "InstalledPendingReboot" | "Failed", "reboot": whether it needs a restart (left out: it does),
     "fails": whether its installation fails (left out: not), "seconds": how long it takes to install (60),
     "daysOld": days since its release (30), "installedTime": virtual unix seconds, "cves": ["CVE-2026-1234", …]}
"""

from dataclasses import dataclass

STATES = ("Missing", "Installed", "InstalledPendingReboot", "Failed")


@dataclass
class Update:
    """One update on one machine."""

    kb: str
    title: str = ""
    classification: str = "SecurityUpdates"
    severity: str = "Critical"
    product: str = "WindowsServer2022"
    state: str = "Missing"
    reboot: bool = True
    fails: bool = False
    seconds: float = 60.0
    days_old: float = 30.0
    installed: float = 0.0
    cves: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, raw: dict) -> "Update":
        """``ValueError`` or ``KeyError`` says what is wrong."""
        known = {
            "kb", "title", "classification", "severity", "product", "state", "reboot", "fails", "seconds", "daysOld", "installedTime", "cves",
        }  # fmt: skip
        if unknown := sorted(set(raw) - known):
            raise ValueError(f"an update has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        if raw.get("state", "Missing") not in STATES:
            raise ValueError(f"state {raw['state']!r} of an update is none of {', '.join(STATES)}")
        return cls(
            kb=raw["kb"],
            title=raw.get("title", f"Update ({raw['kb']})"),
            classification=raw.get("classification", cls.classification),
            severity=raw.get("severity", cls.severity),
            product=raw.get("product", cls.product),
            state=raw.get("state", "Missing"),
            reboot=bool(raw.get("reboot", True)),
            fails=bool(raw.get("fails", False)),
            seconds=float(raw.get("seconds", cls.seconds)),
            days_old=float(raw.get("daysOld", cls.days_old)),
            installed=float(raw.get("installedTime", 0.0)),
            cves=tuple(raw.get("cves", ())),
        )

    def to_json(self) -> dict:
        return {
            "kb": self.kb,
            "title": self.title,
            "classification": self.classification,
            "severity": self.severity,
            "product": self.product,
            "state": self.state,
            "reboot": self.reboot,
            "fails": self.fails,
            "seconds": self.seconds,
            "daysOld": self.days_old,
            "installedTime": self.installed,
            "cves": list(self.cves),
        }

    @property
    def there(self) -> bool:
        """Whether it was installed, restarted or not."""
        return self.state.startswith("Installed")
