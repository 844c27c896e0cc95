"""A new version of an escalation policy: checked whole, in force for requests filed from now on."""

import sqlalchemy as sa

from service import errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import OPERATOR, Hub
from service.models import Policy, table_of
from service.queries import policies
from service.schemas.policies import NewPolicy, PolicyAnswer
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import policy

_POLICIES = table_of(Policy)


async def set_policy(hub: Hub, principal: Principal, name: str, body: NewPolicy) -> PolicyAnswer:
    """Keep a new version; requests that are under way keep the snapshot they were filed with.

    Raises ``InvalidInput`` on ``/text``: ``policy.invalid`` with the key at fault, ``policy.name`` where the text names
    another policy, ``policy.version`` where its version is not newer than the one in force.
    """
    principal.require(Scope.POLICIES_WRITE)
    try:
        read = policy.load(body.text)
    except policy.PolicyInvalid as invalid:
        raise errors.InvalidInput.of("/text", "policy.invalid", key=invalid.key) from None
    if read.name != name:
        raise errors.InvalidInput.of("/text", "policy.name")

    async def work(change: Change) -> PolicyAnswer:
        newest = await policies.newest(change.conn, name)
        if newest is not None and read.version <= newest.version:
            raise errors.InvalidInput.of("/text", "policy.version", newest=newest.version)
        person = principal.client_id
        row = {"name": name, "version": read.version, "text": body.text, "created_by": person, "created_at": change.at}
        await change.conn.execute(sa.insert(_POLICIES).values(row))
        change.note("policy.set", name=name, version=read.version)
        return PolicyAnswer(name=name, version=read.version, text=body.text, created_by=person, created_at=change.at)

    return await changes.run(hub, principal, OPERATOR, work)
