"""Aliases: which version of a registered model is live, and the trail of every move."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from typing import Any

from edgepress.errors import UserError
from stages.outages import is_absent

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"


class Aliases:
    """The aliases of one registered model."""

    def __init__(self, client: Any, name: str) -> None:
        """Take the registry's client and the model's name."""
        self._client = client
        self.name = name

    def held(self) -> dict[str, str]:
        """Return alias -> version; a model that is not there is a UserError."""
        aliases = self._model().aliases
        return {alias: str(number) for alias, number in aliases.items()}

    def trail(self) -> list[dict[str, str]]:
        """Return every move of an alias, oldest first."""
        tags = self._model().tags
        return [json.loads(tags[key]) for key in sorted(tags) if key.startswith("audit.")]

    def promote(self, number: str) -> bool:
        """Make a version the champion, and the champion before it previous; False where it is."""
        champion = self.held().get(CHAMPION)
        if champion == number:
            return False
        if champion is not None:
            self.move(PREVIOUS, champion, "pass")
        self.move(CHAMPION, number, "pass")
        return True

    def rollback(self) -> tuple[str, str]:
        """Swap champion and previous; return the old and the new champion's version."""
        aliases = self.held()
        if CHAMPION not in aliases or PREVIOUS not in aliases:
            held = ", ".join(f"{alias} {number}" for alias, number in aliases.items()) or "no alias"
            raise UserError(
                f"{self.name}: a rollback needs a champion and a previous; it has {held}"
            )
        bad, good = aliases[CHAMPION], aliases[PREVIOUS]
        if bad == good:
            raise UserError(f"{self.name}: champion and previous are both version {bad} already")
        self._client.set_model_version_tag(self.name, bad, "rolled_back", "true")
        self.move(CHAMPION, good, "rollback")
        self.move(PREVIOUS, bad, "rollback")
        return bad, good

    def move(self, alias: str, number: str, verdict: str) -> None:
        """Point an alias at a version, and write the move down before it is made."""
        old = self.held().get(alias, "")
        if old == number:
            return
        trail = self.trail()
        move = {"alias": alias, "from": old, "to": number, "verdict": verdict}
        last = next((entry for entry in reversed(trail) if entry["alias"] == alias), None)
        # After a kill between the note and the move the note is there already.
        if last is None or (last["from"], last["to"]) != (old, number):
            at = datetime.now(UTC).isoformat(timespec="seconds")
            note = json.dumps({**move, "at": at, "by": _user()})
            self._client.set_registered_model_tag(self.name, f"audit.{len(trail):06d}", note)
        self._client.set_registered_model_alias(self.name, alias, number)

    def _model(self) -> Any:
        try:
            return self._client.get_registered_model(self.name)
        except Exception as error:
            if not is_absent(error):
                raise
            raise UserError(
                f"{self.name}: no such registered model; run the register stage"
            ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
