"""The nouns: one table a file; importing this package registers all of them."""

import sqlalchemy as sa
from sqlmodel import SQLModel

from service.models import naming
from service.models.acknowledgement import Acknowledgement
from service.models.action_request import ActionRequest
from service.models.alias import Alias
from service.models.appeal import Appeal
from service.models.approval import Approval
from service.models.attempt import Attempt
from service.models.audit_entry import AuditEntry
from service.models.audit_head import AuditHead
from service.models.baseline import Baseline
from service.models.calendar_day import CalendarDay
from service.models.callback import Callback
from service.models.case import Case
from service.models.certification import Certification
from service.models.client import Client
from service.models.console_passkey import ConsolePasskey
from service.models.console_session import ConsoleSession
from service.models.contact import Contact
from service.models.deadline import Deadline
from service.models.dispatch import Dispatch
from service.models.display import Display
from service.models.draft import Draft
from service.models.endpoint import Endpoint
from service.models.endpoint_proposal import EndpointProposal
from service.models.endpoint_state import EndpointState
from service.models.erasure import Erasure
from service.models.escalation import Escalation
from service.models.fact_archive import FactArchive
from service.models.fact_run import FactRun
from service.models.idempotency_key import IdempotencyKey
from service.models.installation import Installation
from service.models.legal_hold import LegalHold
from service.models.maintenance_window import MaintenanceWindow
from service.models.node import Node
from service.models.note import Note
from service.models.officer import Officer
from service.models.order import Order
from service.models.participant import Participant
from service.models.policy import Policy
from service.models.provider_link import ProviderLink
from service.models.public_key import PublicKey
from service.models.queue_item import QueueItem
from service.models.restoration import Restoration
from service.models.retention_rule import RetentionRule
from service.models.root_key import RootKey
from service.models.sign_in_link import SignInLink
from service.models.spent_identifier import SpentIdentifier
from service.models.subject_key import SubjectKey
from service.models.target import Target
from service.models.task import Task
from service.models.tenant_key import TenantKey
from service.models.time_limit import TimeLimit
from service.models.unit import Unit

metadata = naming.metadata


def table_of(model: type[SQLModel]) -> sa.Table:
    """Return the table behind a model, for statements that are not the ORM's."""
    found: sa.Table = model.__table__  # type: ignore[attr-defined]
    return found


__all__ = [
    "Acknowledgement",
    "ActionRequest",
    "Alias",
    "Appeal",
    "Approval",
    "Attempt",
    "AuditEntry",
    "AuditHead",
    "Baseline",
    "CalendarDay",
    "Callback",
    "Case",
    "Certification",
    "Client",
    "ConsolePasskey",
    "ConsoleSession",
    "Contact",
    "Deadline",
    "Dispatch",
    "Display",
    "Draft",
    "Endpoint",
    "EndpointProposal",
    "EndpointState",
    "Erasure",
    "Escalation",
    "FactArchive",
    "FactRun",
    "IdempotencyKey",
    "Installation",
    "LegalHold",
    "MaintenanceWindow",
    "Node",
    "Note",
    "Officer",
    "Order",
    "Participant",
    "Policy",
    "ProviderLink",
    "PublicKey",
    "QueueItem",
    "Restoration",
    "RetentionRule",
    "RootKey",
    "SignInLink",
    "SpentIdentifier",
    "SubjectKey",
    "Target",
    "Task",
    "TenantKey",
    "TimeLimit",
    "Unit",
    "metadata",
    "table_of",
]
