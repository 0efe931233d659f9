"""What a destination has said to each object of a delivery: where an attempt broke, the next one goes on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from sqlalchemy import delete, insert, select, update

from stenograde.pacs.answers import Answer, Verdict
from stenograde.pacs.database import Database
from stenograde.pacs.outgoing import Outgoing
from stenograde.pacs.states import Clock, system_clock
from stenograde.pacs.tables import commitments, sent


class SentState(StrEnum):
    """Where an object stands with a destination."""

    STORED = "stored"
    COMMITTED = "committed"
    """The destination has taken on to keep it (storage commitment)."""
    REFUSED = "refused"


class Sent:
    """The objects of deliveries that were answered to.

    Parameters
    ----------
    database : Database
    clock : callable
        Gives the time.
    """

    def __init__(self, database: Database, *, clock: Clock = system_clock) -> None:
        self._database = database
        self._clock = clock

    def answered(self, delivery: int, one: Outgoing, answer: Answer) -> int:
        """Keep an answer to an object that was stored or refused; return how often it was refused so far."""
        is_refused = answer.verdict is Verdict.REFUSED
        state = SentState.REFUSED if is_refused else SentState.STORED
        mine = (sent.c.delivery_id == delivery, sent.c.sop_uid == one.sop_uid)
        with self._database.claiming() as connection:
            row = connection.execute(select(sent.c.sha256, sent.c.refusals).where(*mine)).one_or_none()
            before = row.refusals if row is not None and row.sha256 == one.sha256 else 0
            refusals = before + 1 if is_refused else 0
            values = {"sha256": one.sha256, "state": state.value, "refusals": refusals}
            if row is None:
                values |= {"delivery_id": delivery, "sop_uid": one.sop_uid}
                connection.execute(insert(sent).values(**values, changed_at=self._clock()))
            else:
                connection.execute(update(sent).where(*mine).values(**values, changed_at=self._clock()))
        return refusals

    def lacking(self, delivery: int, objects: Sequence[Outgoing]) -> tuple[Outgoing, ...]:
        """Return the objects that the destination is not known to have as they are now."""
        has = self._with_state(delivery, (SentState.STORED, SentState.COMMITTED))
        return tuple(one for one in objects if (one.sop_uid, one.sha256) not in has)

    def uncommitted(self, delivery: int, objects: Sequence[Outgoing]) -> tuple[Outgoing, ...]:
        """Return the objects that the destination has not taken on to keep."""
        has = self._with_state(delivery, (SentState.COMMITTED,))
        return tuple(one for one in objects if (one.sop_uid, one.sha256) not in has)

    def asked(self, delivery: int, transaction_uid: str) -> None:
        """Keep that storage commitment is about to be asked for."""
        values = {"transaction_uid": transaction_uid, "delivery_id": delivery, "asked_at": self._clock()}
        with self._database.claiming() as connection:
            connection.execute(insert(commitments).values(**values))

    def reported(
        self, transaction_uid: str, committed: Collection[str], failed: Collection[str]
    ) -> int | None:
        """Keep the answer to a request for commitment; an object that failed is to be sent again.

        An answer counts however late it comes, even when it was asked for again meanwhile.

        Returns
        -------
        delivery : int or None
            None if nobody has asked under that UID.
        """
        with self._database.writing() as connection:
            wanted = select(commitments.c.delivery_id, commitments.c.asked_at)
            row = connection.execute(wanted.where(commitments.c.transaction_uid == transaction_uid)).first()
            if row is None:
                return None
            # (one that was stored anew since it was asked for may be another)
            of_delivery = (sent.c.delivery_id == row.delivery_id, sent.c.changed_at <= row.asked_at)
            stored = sent.c.state == SentState.STORED.value
            taken = update(sent).where(*of_delivery, stored, sent.c.sop_uid.in_(committed))
            connection.execute(taken.values(state=SentState.COMMITTED.value, changed_at=self._clock()))
            connection.execute(delete(sent).where(*of_delivery, sent.c.sop_uid.in_(failed)))
            return row.delivery_id

    def _with_state(self, delivery: int, states: Collection[SentState]) -> set[tuple[str, str]]:
        wanted = select(sent.c.sop_uid, sent.c.sha256).where(
            sent.c.delivery_id == delivery, sent.c.state.in_([state.value for state in states])
        )
        with self._database.reading() as connection:
            return {(row.sop_uid, row.sha256) for row in connection.execute(wanted)}
