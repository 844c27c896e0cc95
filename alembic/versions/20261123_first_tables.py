"""The first tables: nouns, the outbox and its queue, the timers, the audit chain."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move the schema forward."""
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("chain", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("actor_kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("actor_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("actor_tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("deadline_id", sa.BigInteger(), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
        sa.UniqueConstraint("chain", "sequence", name=op.f("uq_audit_entries_chain_sequence")),
        sa.UniqueConstraint("deadline_id", name=op.f("uq_audit_entries_deadline_id")),
    )
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entries_request_id"), ["request_id"], unique=False)

    op.create_table(
        "audit_heads",
        sa.Column("chain", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("chain", name=op.f("pk_audit_heads")),
    )
    op.create_table(
        "calendar_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_calendar_days")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("body_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "key", name=op.f("pk_idempotency_keys")),
    )
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_idempotency_keys_created_at"), ["created_at"], unique=False)

    op.create_table(
        "nodes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("started_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("seen_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "participants",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "sector",
            sa.Enum(
                "agency",
                "bank",
                "wallet",
                "telecom",
                "isp",
                "platform",
                "registrar",
                "supervisor",
                "hub",
                name="sector",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("name_vi", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("name_en", sqlmodel.sql.sqltypes.AutoString(length=200), nullable=False),
        sa.Column("short_name", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("status", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("supervisor_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("level", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=True),
        sa.Column("province_code", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=True),
        sa.Column("parent_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("to_be_confirmed", sa.Boolean(), nullable=False),
        sa.Column("duty_phone", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["participants.id"], name=op.f("fk_participants_parent_id")),
        sa.ForeignKeyConstraint(["supervisor_id"], ["participants.id"], name=op.f("fk_participants_supervisor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_participants")),
    )
    with op.batch_alter_table("participants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_participants_sector"), ["sector"], unique=False)
        batch_op.create_index(batch_op.f("ix_participants_status"), ["status"], unique=False)

    op.create_table(
        "policies",
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_policies")),
    )
    op.create_table(
        "spent_identifiers",
        sa.Column("issuer", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("identifier", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "identifier", name=op.f("pk_spent_identifiers")),
    )
    with op.batch_alter_table("spent_identifiers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_spent_identifiers_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "units",
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("province_code", sqlmodel.sql.sqltypes.AutoString(length=8), nullable=True),
        sa.Column("name_vi", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=False),
        sa.Column("name_en", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_units")),
    )
    with op.batch_alter_table("units", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_units_province_code"), ["province_code"], unique=False)

    op.create_table(
        "aliases",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("scheme", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("value", sqlmodel.sql.sqltypes.AutoString(length=255), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=True),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_aliases_participant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aliases")),
    )
    with op.batch_alter_table("aliases", schema=None) as batch_op:
        batch_op.create_index("ix_aliases_lookup", ["scheme", "value"], unique=False)
        batch_op.create_index(batch_op.f("ix_aliases_participant_id"), ["participant_id"], unique=False)

    op.create_table(
        "baselines",
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "subject_kind",
            sa.Enum(
                "officer", "agency", "pair", name="bound_subject", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(length=130), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "holds", "takedowns", "lifts", name="bound_kind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("p99_count", sa.Integer(), nullable=False),
        sa.Column("p99_amount", sa.BigInteger(), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("since", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("learned_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_baselines_tenant")),
        sa.PrimaryKeyConstraint("tenant", "subject_kind", "subject", "kind", name=op.f("pk_baselines")),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("number", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("opened_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_cases_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("tenant", "number", name=op.f("uq_cases_tenant_number")),
    )
    op.create_table(
        "clients",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_clients_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clients")),
    )
    with op.batch_alter_table("clients", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_clients_tenant"), ["tenant"], unique=False)

    op.create_table(
        "console_sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("person", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "maker",
                "approver",
                "reader",
                "agency_admin",
                "participant_operator",
                "supervisor",
                "coordinator",
                "auditor",
                "hub_admin",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("started_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("seen_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_console_sessions_tenant")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_console_sessions")),
    )
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "channel",
            sa.Enum("webhook", "pull", "email", name="channel", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column(
            "purpose",
            sa.Enum(
                "orders", "status", "notices", name="purpose", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("url", sqlmodel.sql.sqltypes.AutoString(length=500), nullable=False),
        sa.Column("address_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("network", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("port", sa.Integer(), nullable=True),
        sa.Column("ca_pem", sa.Text(), nullable=True),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("max_in_flight", sa.Integer(), nullable=False),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("inbox_position", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_endpoints_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
    )
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_endpoints_tenant"), ["tenant"], unique=False)

    op.create_table(
        "officers",
        sa.Column("id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("rank", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("number", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=False),
        sa.Column("powers", sa.JSON(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("appointed_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_officers_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officers")),
        sa.UniqueConstraint("tenant", "number", name=op.f("uq_officers_tenant_number")),
    )
    with op.batch_alter_table("officers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_officers_tenant"), ["tenant"], unique=False)

    op.create_table(
        "public_keys",
        sa.Column("kid", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("owner_kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("owner_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("purpose", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("jwk", sa.JSON(), nullable=False),
        sa.Column("not_before", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("not_after", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_public_keys_tenant")),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_public_keys")),
    )
    with op.batch_alter_table("public_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_public_keys_owner_id"), ["owner_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_public_keys_tenant"), ["tenant"], unique=False)

    op.create_table(
        "sign_in_links",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("person", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "maker",
                "approver",
                "reader",
                "agency_admin",
                "participant_operator",
                "supervisor",
                "coordinator",
                "auditor",
                "hub_admin",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("expires_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("used_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_sign_in_links_tenant")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_links")),
    )
    op.create_table(
        "time_limits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "receipt",
                "acknowledge",
                "execute",
                "acknowledgement_end",
                "end_warning",
                "end",
                "review",
                "approval",
                "task",
                "appeal_answer",
                "appeal_decision",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("within_seconds", sa.Integer(), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "freeze",
                "lift",
                "extend",
                "takedown",
                "preserve",
                name="action",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column(
            "target_kind",
            sa.Enum(
                "account",
                "wallet",
                "card",
                "phone",
                "sms_sender",
                "social_account",
                "email",
                "domain",
                "url",
                "content",
                name="target_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column(
            "legal_basis",
            sa.Enum(
                "aml_postponement",
                "cpc_129",
                "decree_52_11",
                "decree_147",
                "emergency",
                name="legal_basis",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("created_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("within_seconds > 0", name=op.f("ck_time_limits_within_is_positive")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_time_limits_participant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_time_limits")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=True),
        sa.Column("to_minute", sa.Integer(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_contacts_endpoint_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_contacts_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
    )
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_contacts_tenant"), ["tenant"], unique=False)

    op.create_table(
        "endpoint_states",
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_seconds", sa.Integer(), nullable=False),
        sa.Column("open_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("probed_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=True),
        sa.Column("changed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_endpoint_states_endpoint_id")),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_endpoint_states")),
    )
    op.create_table(
        "requests",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "freeze",
                "lift",
                "extend",
                "takedown",
                "preserve",
                name="action",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "awaiting_approval",
                "held_for_callback",
                "active",
                "closed",
                "refused",
                "withdrawn",
                "lapsed",
                name="request_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "urgency",
            sa.Enum(
                "khan", "thuong_khan", "hoa_toc", name="urgency", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "legal_basis",
            sa.Enum(
                "aml_postponement",
                "cpc_129",
                "decree_52_11",
                "decree_147",
                "emergency",
                name="legal_basis",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("authority_rule", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("officer_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("approvals_needed", sa.Integer(), nullable=False),
        sa.Column(
            "measure",
            sa.Enum("block", "suspend", "remove", name="measure", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(length=3), nullable=True),
        sa.Column("whole_account", sa.Boolean(), nullable=False),
        sa.Column("whole_account_reason_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("document_number", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("document_date", sa.Date(), nullable=False),
        sa.Column("document_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("contact_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("starts_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("ends_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("original_id", sa.Uuid(), nullable=True),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("body_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=True),
        sa.Column("submitted_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("activated_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("review_by", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("reviewed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("held_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("held_bounds", sa.JSON(), nullable=True),
        sa.Column("closed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.CheckConstraint(
            "action <> 'freeze' OR (ends_at IS NOT NULL AND ((amount IS NOT NULL AND NOT whole_account) OR (amount IS NULL AND whole_account AND whole_account_reason_sealed IS NOT NULL)))",
            name=op.f("ck_requests_freeze_is_proportionate"),
        ),
        sa.CheckConstraint("amount IS NULL OR amount > 0", name=op.f("ck_requests_amount_is_positive")),
        sa.CheckConstraint("ends_at IS NULL OR ends_at > starts_at", name=op.f("ck_requests_ends_after_it_starts")),
        sa.CheckConstraint(
            "length(document_number) > 0 AND length(document_sha256) = 64 AND length(authority_rule) > 0",
            name=op.f("ck_requests_names_document_and_authority"),
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_requests_case_id")),
        sa.ForeignKeyConstraint(["officer_id"], ["officers.id"], name=op.f("fk_requests_officer_id")),
        sa.ForeignKeyConstraint(["original_id"], ["requests.id"], name=op.f("fk_requests_original_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_requests_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
        sa.UniqueConstraint("reference", name=op.f("uq_requests_reference")),
    )
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.create_index("ix_requests_bounds", ["tenant", "activated_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_requests_case_id"), ["case_id"], unique=False)
        batch_op.create_index("ix_requests_list", ["tenant", "submitted_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_requests_original_id"), ["original_id"], unique=False)

    op.create_table(
        "approvals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("officer_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("kind", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=False),
        sa.Column("body_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("approved_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["officer_id"], ["officers.id"], name=op.f("fk_approvals_officer_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_approvals_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_approvals_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("request_id", "officer_id", "kind", name=op.f("uq_approvals_request_id_officer_id_kind")),
    )
    op.create_table(
        "callbacks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("person", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "confirmed", "denied", name="callback_outcome", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column("called_number", sqlmodel.sql.sqltypes.AutoString(length=16), nullable=True),
        sa.Column("note_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("answered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_callbacks_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_callbacks_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callbacks")),
        sa.UniqueConstraint("request_id", "person", name=op.f("uq_callbacks_request_id_person")),
    )
    op.create_table(
        "deadlines",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "subject_kind",
            sa.Enum(
                "order",
                "request",
                "task",
                "appeal",
                name="subject_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("chain", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "receipt",
                "acknowledge",
                "execute",
                "acknowledgement_end",
                "end_warning",
                "end",
                "review",
                "approval",
                "task",
                "appeal_answer",
                "appeal_decision",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("rung", sa.SmallInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("started_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("due_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "met",
                "missed",
                "cancelled",
                name="deadline_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("settled_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("settled_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=True),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_deadlines_request_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deadlines")),
        sa.UniqueConstraint(
            "subject_kind",
            "subject_id",
            "stage",
            "rung",
            "generation",
            name=op.f("uq_deadlines_subject_kind_subject_id_stage_rung_generation"),
        ),
    )
    with op.batch_alter_table("deadlines", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deadlines_due",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(
            "ix_deadlines_pending",
            ["subject_id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(batch_op.f("ix_deadlines_request_id"), ["request_id"], unique=False)

    op.create_table(
        "targets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "account",
                "wallet",
                "card",
                "phone",
                "sms_sender",
                "social_account",
                "email",
                "domain",
                "url",
                "content",
                name="target_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("value_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("value_index", sa.LargeBinary(), nullable=False),
        sa.Column("holder_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("institution", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("platform", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=True),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("perceptual_hash", sqlmodel.sql.sqltypes.AutoString(length=128), nullable=True),
        sa.Column("intimate", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_targets_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_targets_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_targets")),
    )
    with op.batch_alter_table("targets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_targets_request_id"), ["request_id"], unique=False)
        batch_op.create_index("ix_targets_search", ["tenant", "value_index"], unique=False)

    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=False),
        sa.Column(
            "action",
            sa.Enum(
                "freeze",
                "lift",
                "extend",
                "takedown",
                "preserve",
                name="action",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "placed",
                "delivered",
                "acknowledged",
                "executed",
                "refused",
                "rerouted",
                "withdrawn",
                "lapsed",
                "lifted",
                name="order_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("subject_index", sa.LargeBinary(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("amount_held", sa.BigInteger(), nullable=True),
        sa.Column("ends_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("original_id", sa.Uuid(), nullable=True),
        sa.Column("rerouted_from_id", sa.Uuid(), nullable=True),
        sa.Column("lift_ordered", sa.Boolean(), nullable=False),
        sa.Column("placed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("delivered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("answered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("changed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.CheckConstraint("action <> 'freeze' OR ends_at IS NOT NULL", name=op.f("ck_orders_freeze_ends")),
        sa.ForeignKeyConstraint(["original_id"], ["orders.id"], name=op.f("fk_orders_original_id")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_orders_participant_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_orders_request_id")),
        sa.ForeignKeyConstraint(["rerouted_from_id"], ["orders.id"], name=op.f("fk_orders_rerouted_from_id")),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_orders_target_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_orders_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.create_index("ix_orders_holds", ["participant_id", "subject_index"], unique=False)
        batch_op.create_index("ix_orders_inbox", ["participant_id", "placed_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_original_id"), ["original_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_request_id"), ["request_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_orders_target_id"), ["target_id"], unique=False)

    op.create_table(
        "acknowledgements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "received",
                "executed",
                "refused",
                "not_mine",
                "lifted",
                name="outcome",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("amount_held", sa.BigInteger(), nullable=True),
        sa.Column(
            "refusal_code",
            sa.Enum(
                "target_not_found",
                "holder_mismatch",
                "no_balance",
                "target_closed",
                "not_mine",
                "authority_doubted",
                "document_doubted",
                "target_legitimate",
                "not_feasible",
                "other",
                name="refusal_code",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("ported_to", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("body_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("contradicts", sa.Boolean(), nullable=False),
        sa.Column("received_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_acknowledgements_order_id")),
        sa.ForeignKeyConstraint(
            ["participant_id"], ["participants.id"], name=op.f("fk_acknowledgements_participant_id")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_acknowledgements_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_acknowledgements")),
    )
    with op.batch_alter_table("acknowledgements", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_acknowledgements_order_id"), ["order_id"], unique=False)

    op.create_table(
        "appeals",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("reference", sqlmodel.sql.sqltypes.AutoString(length=24), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "filed",
                "answered",
                "upheld",
                "rejected",
                name="appeal_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "ground",
            sa.Enum(
                "wrong_person",
                "wrong_amount",
                "not_involved",
                "living_expenses",
                "already_returned",
                "other",
                name="appeal_ground",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("statement_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("appellant_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("filed_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("filed_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("answer_due_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("decision_due_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("answered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("answered_by", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("answer_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("decided_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("decided_by", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("decision_code", sqlmodel.sql.sqltypes.AutoString(length=32), nullable=True),
        sa.Column("decision_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_appeals_order_id")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_appeals_participant_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_appeals_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_appeals_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appeals")),
        sa.UniqueConstraint("reference", name=op.f("uq_appeals_reference")),
    )
    with op.batch_alter_table("appeals", schema=None) as batch_op:
        batch_op.create_index("ix_appeals_list", ["tenant", "filed_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_appeals_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_appeals_request_id"), ["request_id"], unique=False)

    op.create_table(
        "dispatches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "order", "status", "notice", name="dispatch_kind", native_enum=False, create_constraint=True, length=32
            ),
            nullable=False,
        ),
        sa.Column(
            "channel",
            sa.Enum("webhook", "pull", "email", name="channel", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("message_type", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("message_sealed", sa.LargeBinary(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "waiting",
                "delivered",
                "dead",
                "cancelled",
                name="dispatch_state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("deadline_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("delivered_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("settled_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name=op.f("fk_dispatches_endpoint_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_dispatches_order_id")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_dispatches_participant_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_dispatches_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_dispatches_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatches")),
    )
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.create_index("ix_dispatches_inbox", ["endpoint_id", "position"], unique=True)
        batch_op.create_index(batch_op.f("ix_dispatches_order_id"), ["order_id"], unique=False)
        batch_op.create_index(
            "ix_dispatches_pending",
            ["created_at"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.create_index(batch_op.f("ix_dispatches_request_id"), ["request_id"], unique=False)

    op.create_table(
        "escalations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("deadline_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column(
            "stage",
            sa.Enum(
                "receipt",
                "acknowledge",
                "execute",
                "acknowledgement_end",
                "end_warning",
                "end",
                "review",
                "approval",
                "task",
                "appeal_answer",
                "appeal_decision",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("due_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("raised_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("reached", sa.JSON(), nullable=False),
        sa.Column("reached_somebody", sa.Boolean(), nullable=False),
        sa.Column("policy_name", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["deadline_id"], ["deadlines.id"], name=op.f("fk_escalations_deadline_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_escalations_order_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_escalations_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_escalations_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_escalations")),
        sa.UniqueConstraint("deadline_id", name=op.f("uq_escalations_deadline_id")),
    )
    with op.batch_alter_table("escalations", schema=None) as batch_op:
        batch_op.create_index("ix_escalations_list", ["raised_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_escalations_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_escalations_request_id"), ["request_id"], unique=False)

    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("participant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "unreachable_participant",
                "not_mine",
                "contradicting_answer",
                "dead_dispatch",
                "endpoint_down",
                "callback",
                "appeal",
                name="task_kind",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("order_id", sa.Uuid(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("opened_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("due_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("resolved_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.Column("resolved_by", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=True),
        sa.Column("note_sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_tasks_order_id")),
        sa.ForeignKeyConstraint(["participant_id"], ["participants.id"], name=op.f("fk_tasks_participant_id")),
        sa.ForeignKeyConstraint(["request_id"], ["requests.id"], name=op.f("fk_tasks_request_id")),
        sa.ForeignKeyConstraint(["tenant"], ["participants.id"], name=op.f("fk_tasks_tenant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
    )
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.create_index(
            "ix_tasks_open",
            ["due_at", "id"],
            unique=False,
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_tasks_order_id"), ["order_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_tasks_request_id"), ["request_id"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("dispatch_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("node", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("lease_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=True),
        sa.Column("superseded", sa.Boolean(), nullable=False),
        sa.Column("answer_head_sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["dispatch_id"], ["dispatches.id"], name=op.f("fk_attempts_dispatch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_dispatch_id"), ["dispatch_id"], unique=False)

    op.create_table(
        "dispatch_queue",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tenant", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("dispatch_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("run_at", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=False),
        sa.Column("leased", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("order_key", sa.BigInteger(), nullable=True),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("node", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=True),
        sa.Column("lease_until", sqlmodel.sql.sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["dispatch_id"], ["dispatches.id"], name=op.f("fk_dispatch_queue_dispatch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatch_queue")),
        sa.UniqueConstraint("dispatch_id", name=op.f("uq_dispatch_queue_dispatch_id")),
    )
    with op.batch_alter_table("dispatch_queue", schema=None) as batch_op:
        batch_op.create_index(
            "ix_dispatch_queue_leased",
            ["node"],
            unique=False,
            sqlite_where=sa.text("leased"),
            postgresql_where=sa.text("leased"),
        )
        batch_op.create_index(
            "ix_dispatch_queue_order",
            ["order_key", "id"],
            unique=False,
            sqlite_where=sa.text("order_key IS NOT NULL"),
            postgresql_where=sa.text("order_key IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_dispatch_queue_ready",
            ["endpoint_id", "priority", "run_at", "id"],
            unique=False,
            sqlite_where=sa.text("NOT leased"),
            postgresql_where=sa.text("NOT leased"),
        )
        batch_op.create_index(
            "uq_dispatch_queue_serial",
            ["order_key"],
            unique=True,
            sqlite_where=sa.text("leased AND order_key IS NOT NULL"),
            postgresql_where=sa.text("leased AND order_key IS NOT NULL"),
        )


def downgrade() -> None:
    """Move the schema back."""
    with op.batch_alter_table("dispatch_queue", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_dispatch_queue_serial",
            sqlite_where=sa.text("leased AND order_key IS NOT NULL"),
            postgresql_where=sa.text("leased AND order_key IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_dispatch_queue_ready", sqlite_where=sa.text("NOT leased"), postgresql_where=sa.text("NOT leased")
        )
        batch_op.drop_index(
            "ix_dispatch_queue_order",
            sqlite_where=sa.text("order_key IS NOT NULL"),
            postgresql_where=sa.text("order_key IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_dispatch_queue_leased", sqlite_where=sa.text("leased"), postgresql_where=sa.text("leased")
        )

    op.drop_table("dispatch_queue")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_dispatch_id"))

    op.drop_table("attempts")
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tasks_request_id"))
        batch_op.drop_index(batch_op.f("ix_tasks_order_id"))
        batch_op.drop_index(
            "ix_tasks_open",
            sqlite_where=sa.text("resolved_at IS NULL"),
            postgresql_where=sa.text("resolved_at IS NULL"),
        )

    op.drop_table("tasks")
    with op.batch_alter_table("escalations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_escalations_request_id"))
        batch_op.drop_index(batch_op.f("ix_escalations_order_id"))
        batch_op.drop_index("ix_escalations_list")

    op.drop_table("escalations")
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dispatches_request_id"))
        batch_op.drop_index(
            "ix_dispatches_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index(batch_op.f("ix_dispatches_order_id"))
        batch_op.drop_index("ix_dispatches_inbox")

    op.drop_table("dispatches")
    with op.batch_alter_table("appeals", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_appeals_request_id"))
        batch_op.drop_index(batch_op.f("ix_appeals_order_id"))
        batch_op.drop_index("ix_appeals_list")

    op.drop_table("appeals")
    with op.batch_alter_table("acknowledgements", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_acknowledgements_order_id"))

    op.drop_table("acknowledgements")
    with op.batch_alter_table("orders", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_orders_target_id"))
        batch_op.drop_index(batch_op.f("ix_orders_request_id"))
        batch_op.drop_index(batch_op.f("ix_orders_original_id"))
        batch_op.drop_index("ix_orders_inbox")
        batch_op.drop_index("ix_orders_holds")

    op.drop_table("orders")
    with op.batch_alter_table("targets", schema=None) as batch_op:
        batch_op.drop_index("ix_targets_search")
        batch_op.drop_index(batch_op.f("ix_targets_request_id"))

    op.drop_table("targets")
    with op.batch_alter_table("deadlines", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deadlines_request_id"))
        batch_op.drop_index(
            "ix_deadlines_pending",
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )
        batch_op.drop_index(
            "ix_deadlines_due", sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'")
        )

    op.drop_table("deadlines")
    op.drop_table("callbacks")
    op.drop_table("approvals")
    with op.batch_alter_table("requests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_requests_original_id"))
        batch_op.drop_index("ix_requests_list")
        batch_op.drop_index(batch_op.f("ix_requests_case_id"))
        batch_op.drop_index("ix_requests_bounds")

    op.drop_table("requests")
    op.drop_table("endpoint_states")
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_contacts_tenant"))

    op.drop_table("contacts")
    op.drop_table("time_limits")
    op.drop_table("sign_in_links")
    with op.batch_alter_table("public_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_public_keys_tenant"))
        batch_op.drop_index(batch_op.f("ix_public_keys_owner_id"))

    op.drop_table("public_keys")
    with op.batch_alter_table("officers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_officers_tenant"))

    op.drop_table("officers")
    with op.batch_alter_table("endpoints", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_endpoints_tenant"))

    op.drop_table("endpoints")
    op.drop_table("console_sessions")
    with op.batch_alter_table("clients", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_clients_tenant"))

    op.drop_table("clients")
    op.drop_table("cases")
    op.drop_table("baselines")
    with op.batch_alter_table("aliases", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_aliases_participant_id"))
        batch_op.drop_index("ix_aliases_lookup")

    op.drop_table("aliases")
    with op.batch_alter_table("units", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_units_province_code"))

    op.drop_table("units")
    with op.batch_alter_table("spent_identifiers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_spent_identifiers_expires_at"))

    op.drop_table("spent_identifiers")
    op.drop_table("policies")
    with op.batch_alter_table("participants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_participants_status"))
        batch_op.drop_index(batch_op.f("ix_participants_sector"))

    op.drop_table("participants")
    op.drop_table("nodes")
    with op.batch_alter_table("idempotency_keys", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_idempotency_keys_created_at"))

    op.drop_table("idempotency_keys")
    op.drop_table("calendar_days")
    op.drop_table("audit_heads")
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entries_request_id"))

    op.drop_table("audit_entries")
