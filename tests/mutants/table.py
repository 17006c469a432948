# SPDX-License-Identifier: Apache-2.0
"""The planted faults. ``tests/architecture/test_mutants.py`` keeps the table from rotting."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        name: what is broken.
        file: where.
        old: text that stands there exactly once.
        new: what it becomes.
        caught_by: pytest node ids; at least one of their tests must fail.
    """

    name: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]


_CONFORMANCE: Final = "tests/contract/eventlog/test_conformance.py"
_GOLDEN: Final = "tests/unit/common/test_golden.py"
_SETTLE: Final = "services/common/eventlog/sql/0013_detach.sql"
_APPEND: Final = "services/common/eventlog/sql/0013_detach.sql"
_DETACHED: Final = "tests/integration/common/test_detach.py"
_PAYMENT: Final = "tests/unit/payment/test_domain.py"
_MESSAGING: Final = "tests/integration/common/messaging"
_KILLED: Final = "tests/integration/common/test_killed_writer.py"
_DAY: Final = "tests/e2e/test_demo.py::test_demo_agrees_and_leaves_nothing"
_AUDITED: Final = "tests/integration/auditing/test_pages.py"
_FLOWS: Final = "tests/unit/kiosk_sync/edge/test_flows.py"
_NOTIFY: Final = "tests/integration/notify"
_WEBHOOK_LAW: Final = "tests/unit/notify/test_webhook_law.py"

MUTANTS: Final = (
    Mutant(
        "the expected version is not looked at", _APPEND,
        "AND s.expected > 0 AND h.version = s.expected AND", "AND s.expected > 0 AND",
        (f"{_CONFORMANCE}::test_expected_version_is_exact",),
    ),
    Mutant(
        "a used key answers any request", _SETTLE,
        "k.digest = u.digest AS same", "k.digest IS NOT NULL OR NULL AS same",
        (f"{_CONFORMANCE}::test_key_with_another_digest_is_refused",),
    ),
    Mutant(
        "the handled row is dropped", _APPEND,
        "FROM unnest(hd_reactor, hd_pos) AS h(reactor, pos)",
        "FROM unnest(hd_reactor, hd_pos) AS h(reactor, pos) WHERE false",
        (f"{_CONFORMANCE}::test_inbox_finds_what_is_not_handled",),
    ),
    Mutant(
        "recorded_at follows a clock that went back", _APPEND,
        "recorded_at = greatest(\n                recorded_at, (extract(epoch FROM"
        " clock_timestamp()) * 1000000)::bigint)",
        "recorded_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        ("tests/integration/common/test_writer.py::test_time_never_falls",),
    ),
    Mutant(
        "a service writes another's category", "services/common/eventlog/sql/0002_append.sql",
        "WHERE w.category = split_part(s.stream, '-', 1) AND w.writer = session_user)\n    ) THEN",
        "WHERE w.category = split_part(s.stream, '-', 1))\n    ) THEN",
        (f"{_CONFORMANCE}::test_foreign_category_is_refused",),
    ),
    Mutant(
        "events are smuggled into streams nobody asked for", _APPEND,
        "IF rightful <> total OR 1 >", "IF 1 >",
        ("tests/integration/common/test_roles.py::test_no_event_is_smuggled_in",),
    ),
    Mutant(
        "done_through moves past what nobody handled",
        "services/common/eventlog/sql/0003_inbox.sql",
        "SELECT e.pos - 1 INTO goal", "SELECT e.pos INTO goal",
        (f"{_CONFORMANCE}::test_inbox_finds_what_is_not_handled",),
    ),
    Mutant(
        "a neighbour's conflict fails the whole batch", "services/common/eventlog/writer.py",
        "            if answer is not None:\n                waiting.answer(answer)",
        "            if any(answers):\n                waiting.answer(next(filter(None, answers)))",
        (f"{_CONFORMANCE}::test_neighbours_of_a_conflict_are_not_failed",),
    ),
    Mutant(
        "a spoilt request fails its neighbours", "services/common/eventlog/writer.py",
        "        if len(batch) == 1:\n            batch[0].answer(_refusal(error))\n            return",
        "        if batch:\n            for one in batch:\n                one.answer(_refusal(error))"
        "\n            return",
        ("tests/integration/common/test_writer.py::test_a_spoilt_request_fails_alone",),
    ),
    Mutant(
        "the log answers before its disk has it", "services/common/eventlog/writer.py",
        "synchronous_commit=on", "synchronous_commit=off",
        (f"{_KILLED}::test_what_was_acknowledged_is_there_once",),
    ),
    Mutant(
        "the content hash leaves the subject out", "services/common/eventlog/record.py",
        "b',\"subject\":', canonical_text(event.subject),", "b',\"subject\":', b\"null\",",
        (f"{_GOLDEN}::test_content_and_leaf",),
    ),
    Mutant(
        "a nonce is used again", "services/common/personal.py",
        "nonce = os.urandom(NONCE_BYTES)\n    return seal_with_nonce",
        "nonce = bytes(NONCE_BYTES)\n    return seal_with_nonce",
        (f"{_GOLDEN}::test_nonces_are_never_used_twice",),
    ),
    Mutant(
        "ciphertext is not bound to its event", "services/common/personal.py",
        "return _AAD_LABEL + event_id.bytes + len(name)", "return _AAD_LABEL + len(name)",
        (f"{_GOLDEN}::test_ciphertext_stays_in_its_place",),
    ),
    Mutant(
        "the relay's checkpoint runs ahead of the confirms",
        "services/common/messaging/confirms.py",
        "        self.sent = position\n", "        self.sent = self.settled = position\n",
        ("tests/unit/common/messaging/test_confirms.py",),
    ),
    Mutant(
        "the ledger books one side only", "services/payment/domain/ledger.py",
        "        self.accounts[credit] -= amount", "        self.accounts[credit] -= 0",
        ("tests/unit/payment/test_payment.py",),
    ),
    Mutant(
        "a payment settles twice", "services/payment/domain/payment.py",
        "after.asked and not after.settled and", "after.asked and",
        ("tests/unit/payment/test_payment.py",),
    ),
    Mutant(
        "one officer pays money back alone", "services/payment/domain/payment.py",
        "if refund.requested_by == command.by:", "if False:",
        ("tests/unit/payment/test_payment.py::test_what_is_not_allowed",),
    ),
    Mutant(
        "fees of a refused dossier are kept", "services/payment/domain/payment.py",
        '{"refused": True,', '{"refused": False,',
        ("tests/unit/payment/test_payment.py::test_how_a_dossier_ends",),
    ),
    Mutant(
        "a finished dossier is finished again", "services/intake/domain/transitions.py",
        '"dossier.completed": _row((PROCESSING,), COMPLETED, "agency")',
        '"dossier.completed": _row((PROCESSING, REFUSED), COMPLETED, "agency")',
        ("tests/unit/intake/test_dossier.py::test_the_table_is_the_laws",),
    ),
    Mutant(
        "anybody signs for the bank", "services/payment/adapters/payos.py",
        'return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))',
        "return bool(expected and signature)",
        (f"{_PAYMENT}::test_payos_one_changed_field_is_refused",),
    ),
    Mutant(
        "the write-back is recorded before it is acknowledged",
        "services/intake/application/push.py",
        "reference = _told(step, one_stop)",
        'reference = "assumed"',
        ("tests/unit/intake/test_reactions.py::test_the_whole_way",),
    ),
    Mutant(
        "a result leaves its cell a second time", "services/kiosk_sync/edge/agent/release.py",
        "        if grant.state == RELEASED:\n            raise", "        if not grant.state:\n"
        "            raise",
        (f"{_FLOWS}::test_the_right_code_opens_the_cell_once",),
    ),
    Mutant(
        "wrong codes are not counted", "services/kiosk_sync/edge/agent/release.py",
        'left = grant.tries_left - (reason == "wrong_code")', "left = grant.tries_left",
        (f"{_FLOWS}::test_five_wrong_codes_lock_the_grant",),
    ),
    Mutant(
        "the machine does not wait for its disk", "services/kiosk_sync/edge/store/store.py",
        'synchronous: str = "FULL"', 'synchronous: str = "NORMAL"',
        ("tests/simulation/test_power_cut.py::test_no_acknowledged_record_is_lost",),
    ),
    Mutant(
        "the centre does not see a fork", "services/kiosk_sync/application/upload.py",
        "            if held is not None and held != record.hash(upload.serial, upload.epoch):",
        "            if held is None and not record.prev:",
        ("tests/simulation/test_machine_and_centre.py",),
    ),
    Mutant(
        "unsigned journals are taken", "services/kiosk_sync/application/upload.py",
        "if not protocol.verify_batch(upload, bytes.fromhex(machine.sign_key)):",
        "if not upload.records:",
        ("tests/simulation/test_machine_and_centre.py::test_a_journal_of_another_hand_is_refused",),
    ),
    Mutant(
        "messages are acknowledged before they are durable",
        "services/common/messaging/consumer.py",
        "channel.basic_consume(self._queue.name, self._received)",
        "channel.basic_consume(self._queue.name, self._received, auto_ack=True)",
        ("tests/nameko/test_process.py::test_death_between_commit_and_ack_has_one_effect",),
    ),
    Mutant(
        "a dependency that is down fills the dead-letter queue",
        "services/common/messaging/consumer.py",
        "                self._paused = True\n",
        "                self._paused = True\n"
        "                batch = self._answer(channel, batch, [Outcome.DEAD] * len(batch))\n",
        (f"{_MESSAGING}/test_outages.py::test_postgresql_is_down_under_load[8]",),
    ),
    Mutant(
        "a message is believed without the log", "services/common/messaging/reactor_runner.py",
        "        if event is None or wrong:", "        if event is None:",
        (f"{_MESSAGING}/test_bad_messages.py::test_forged_messages",),
    ),
    Mutant(
        "a decision does not see what its batch decided before",
        "services/common/messaging/reactor_batch.py",
        "if self._pending and (stream is None or stream in self._written):",
        "if self._pending and stream is None:",
        ("tests/unit/common/messaging/test_reactor_batch.py",),
    ),
    Mutant(
        "what conflicts in a batch is decided on what was read before",
        "services/common/messaging/reactor_batch.py",
        "            self._view.forget_all()\n", "",
        ("tests/unit/common/messaging/test_reactor_batch.py",),
    ),
    Mutant(
        "an acknowledgement takes a failed message with it",
        "services/common/messaging/consumer.py",
        "        if tag not in done:\n            break\n", "",
        (f"{_MESSAGING}/test_lost_messages.py::test_poison_is_dead_after_five_tries",),
    ),
    Mutant(
        "the relay skips an event", "services/common/messaging/lead.py",
        "where log_id = %s and pos > %s order by pos", "where log_id = %s and pos > %s + 1 order by pos",
        (f"{_MESSAGING}/test_relay.py::test_publishes_in_order_and_soon",),
    ),
    Mutant(
        "a frozen relay keeps the lead", "services/common/eventlog/session.py",
        " -c idle_session_timeout={IDLE_S:.0f}s", "",
        (f"{_MESSAGING}/test_takeover.py::test_a_frozen_lead",),
    ),
    Mutant(
        "the sweeper finds nothing", "services/common/messaging/sweeper.py",
        "self._is_due(event.position)]", "self._is_due(event.position)][:0]",
        (f"{_MESSAGING}/test_lost_messages.py::test_a_purged_queue_is_swept",),
    ),
    Mutant(
        "rows and checkpoint of a read model move apart", "services/common/messaging/projector.py",
        "        with connection.transaction(), connection.cursor() as cursor:\n",
        "        with connection.cursor() as cursor:\n",
        (f"{_MESSAGING}/test_projector.py::test_a_lost_session_moves_neither_rows_nor_checkpoint",),
    ),
    Mutant(
        "the relay keeps some events to itself", "services/common/relay.py",
        "        for event in events:\n            self._publish(event, window)",
        '        for event in events:\n            if event.type != "notification.delivered":\n'
        "                self._publish(event, window)", (_DAY,),
    ),
    Mutant(
        "the sealer signs what the log was a moment ago", "services/common/audit/sealing.py",
        "size=grown.size, root=grown.root(),", "size=grown.size, root=self.frontier.root(),",
        (_DAY,),
    ),
    Mutant(
        "the centre sends a citizen to the next cell",
        "services/kiosk_sync/application/reactions.py",
        '"cell": ready["cell"],', '"cell": int(str(ready["cell"])) + 1,', (_DAY,),
    ),
    Mutant(
        "withdrawn dossiers are told as stopped", "services/intake/application/push.py",
        "status=dossier.status, at=step.event.occurred_at",
        "status=8 if dossier.status == 7 else dossier.status, at=step.event.occurred_at", (_DAY,),
    ),
    Mutant(
        "a bank credit is booked with one đồng too much", "services/payment/domain/ledger.py",
        'book.move(f"bank:{data[\'provider\']}", "unplaced", _whole(data["amount_vnd"]))',
        'book.move(f"bank:{data[\'provider\']}", "unplaced", _whole(data["amount_vnd"]) + 1)',
        (_DAY,),
    ),
    Mutant(
        "messages are noted under another name", "services/notify/domain/notification.py",
        "attempt=state.attempts, provider_message=name)]",
        "attempt=state.attempts, provider_message=name[::-1])]", (_DAY,),
    ),
    Mutant(
        "a machine journals another barcode", "services/kiosk_sync/edge/agent/deposit.py",
        '"pouch": application.pouch,', '"pouch": application.pouch[:-1] + "X",', (_DAY,),
    ),
    Mutant(
        "a unit may change unseen", "services/common/contracts/evolution.py",
        'if old.get("x-unit") != new.get("x-unit"):', "if False:",
        ("tests/unit/common/test_evolution.py::test_a_breaking_change_is_refused",),
    ),
    Mutant(
        "published schemas forget upper limits", "services/common/contracts/json_schema.py",
        '"maximum": found.max', '"maximum": None',
        ("tests/unit/common/test_json_schema.py::test_schema_and_contract_agree",),
    ),
    Mutant(
        "a webhook's place is taken to be one further", "services/notify/domain/webhook.py",
        "through=max(progress.through, position), trouble=None",
        "through=max(progress.through, position + 1), trouble=None",
        (f"{_WEBHOOK_LAW}::test_nothing_is_left_out_whatever_is_killed",),
    ),
    Mutant(
        "a lead writes a webhook's progress over another's",
        "services/notify/adapters/webhook_ledger.py",
        "AND (through, redrive, redriven, coalesce(retry_at_us, 0)) = (%s, %s, %s, %s)",
        "AND (%s, %s, %s, %s) IS NOT NULL",
        (f"{_NOTIFY}/test_webhooks.py::test_a_lead_without_its_lock_moves_nothing",),
    ),
    Mutant(
        "a webhook goes wherever a name leads", "services/notify/adapters/courier.py",
        "if not all(self._courier.rule.allows", "if False and not all(self._courier.rule.allows",
        (f"{_NOTIFY}/test_courier.py::test_a_name_is_judged_by_what_it_means",),
    ),
    Mutant(
        "a closed log takes events", _APPEND,
        "        IF why IS NOT NULL THEN\n            RAISE EXCEPTION 'the log is closed: %', why"
        " USING ERRCODE = 'MC006';\n        END IF;\n        IF base + total",
        "        IF base + total",
        ("tests/integration/common/test_epochs.py::test_nothing_is_lost",),
    ),
    Mutant(
        "any loss is a declared one", "services/common/integrity/checker.py",
        "elif checkpoint.size > lost.lost_through:", "elif checkpoint.size < 0:",
        ("tests/integration/common/test_epochs.py::test_more_was_lost_than_was_said",),
    ),
    Mutant(
        "the archive believes stored hashes", "services/common/audit/archive.py",
        "frontier.append(checked_leaf_of(event, where))", "frontier.append(event.leaf_hash)",
        ("tests/integration/common/test_archive.py::test_a_changed_log_is_not_archived",),
    ),
    Mutant(
        "a stream that left is appended to", _APPEND,
        "h.version = s.expected AND NOT h.away;", "h.version = s.expected;",
        (f"{_DETACHED}::test_appends_to_what_left_are_refused",),
    ),
    Mutant(
        "a stream that left reads as an empty one", "services/common/eventlog/postgres.py",
        "if rows[0][0] is not None:", "if rows[0][0] == -1:",
        (f"{_DETACHED}::test_whoever_asks_is_told_where_it_is",),
    ),
    Mutant(
        "the database believes that an open dossier is over", _APPEND,
        "f.of_one AND f.archived AND f.closed AND", "f.of_one AND f.archived AND",
        (f"{_DETACHED}::test_what_is_not_archived_stays",),
    ),
    Mutant(
        "a damaged file lets rows leave", "services/common/eventlog/away.py",
        "if found != one.sha256:", "if not found:",
        (f"{_DETACHED}::test_damaged_or_missing_files_stop_it",),
    ),
    Mutant(
        "retention forgets open custody cases", "infra/retention.py",
        'return "custody_case" if opened - ended else ""', 'return ""',
        ("tests/unit/infra/test_retention.py::test_an_open_custody_case_keeps_them",),
    ),
    Mutant(
        "auditors see an event without its stubs", "services/auditing/application/telling.py",
        "return {**event.data, **stubs}", "return event.data",
        (f"{_AUDITED}::test_an_event_shows_a_stub_for_what_is_personal",),
    ),
    Mutant(
        "a moment covers what came later", "services/auditing/application/moments.py",
        "return self.until_us is None or event.recorded_at_us <= self.until_us", "return True",
        (f"{_AUDITED}::test_a_state_is_that_of_its_moment",),
    ),
    Mutant(
        "an event's hash is believed", "services/auditing/application/seals.py",
        "leaf = checked_leaf(self._log_id, event.position, row)", "leaf = event.leaf_hash",
        (f"{_AUDITED}::test_an_event_is_proven_as_it_is_shown",),
    ),
)  # fmt: skip
