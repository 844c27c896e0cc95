"""The witness in the database: what happens to a row is noted by triggers, in the transaction that does it."""

# What is noted, on which change of which table, under which condition; who it is about, from what to what.
_NOTED = (
    ("order", "INSERT", "orders", "", "NEW.id", "''", "NEW.state"),
    ("order", "UPDATE OF state", "orders", "OLD.state <> NEW.state", "NEW.id", "OLD.state", "NEW.state"),
    ("request", "INSERT", "requests", "", "NEW.id", "''", "NEW.state"),
    ("request", "UPDATE OF state", "requests", "OLD.state <> NEW.state", "NEW.id", "OLD.state", "NEW.state"),
    ("deadline", "UPDATE OF state", "deadlines", "OLD.state <> NEW.state", "NEW.id", "OLD.state", "NEW.state"),
    ("dispatch", "UPDATE OF state", "dispatches", "OLD.state <> NEW.state", "NEW.id", "OLD.state", "NEW.state"),
    ("lane", "INSERT", "dispatch_queue", "", "NEW.dispatch_id", "NEW.endpoint_id", "NEW.order_key"),
    (
        "claim",
        "UPDATE OF leased",
        "dispatch_queue",
        "NEW.leased AND NOT OLD.leased",
        "NEW.dispatch_id",
        "NEW.lease_id",
        "NEW.attempt",
    ),
)
_INTO = "INSERT INTO sim_moves (what, subject, was, now, at)"
_CONDITION = " WHEN ({})"


def _sqlite() -> str:
    told = ["CREATE TABLE sim_moves (id INTEGER PRIMARY KEY, what TEXT, subject TEXT, was TEXT, now TEXT, at TEXT);"]
    for number, (what, event, table, condition, subject, was, now) in enumerate(_NOTED):
        when = _CONDITION.format(condition) if condition else ""
        told.append(
            f"CREATE TRIGGER sim_{number} AFTER {event} ON {table}{when} BEGIN"
            f" {_INTO} VALUES ('{what}', {subject}, {was}, {now}, hub_now()); END;"
        )
    return "\n".join(told)


def _postgresql() -> str:
    told = [
        "CREATE TABLE sim_moves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " what text, subject text, was text, now text, at text);"
    ]
    for number, (what, event, table, condition, *texts) in enumerate(_NOTED):
        when = _CONDITION.format(condition) if condition else ""
        subject, was, now = (
            f"replace(({text})::text, '-', '')" if "id" in text else f"({text})::text" for text in texts
        )
        told.append(
            f"CREATE FUNCTION sim_{number}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
            f" {_INTO} VALUES ('{what}', {subject}, {was}, {now},"
            " to_char(hub_now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')); RETURN NULL; END $$;"
            f"CREATE TRIGGER sim_{number} AFTER {event} ON {table} FOR EACH ROW{when} EXECUTE FUNCTION sim_{number}();"
        )
    return "\n".join(told)


ON_SQLITE = _sqlite()
ON_POSTGRESQL = _postgresql()
