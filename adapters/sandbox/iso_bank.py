"""What a bank that speaks ISO 20022 answers: its signed messages, one method each."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from adapters.answers import Moved, Traced
from adapters.iso20022 import envelope, money, schemas, terms, xml
from adapters.iso20022.envelope import Header, Party
from adapters.iso20022.xml import Element


@dataclass
class Bank:
    """Signs with its key, under ids that rise; ``hub`` is the address that its messages are for, ``at`` when it signs.

    ``me`` is who it is, ``name`` begins the id of each message: no two banks, and no two lives of one, share it.
    """

    key: ec.EllipticCurvePrivateKey
    kid: str
    hub: str
    at: datetime
    me: Party
    name: str
    sent: int = field(default=0)
    # Whether the hub's messages are an exercise: what answers them says so too.
    drill: bool = False

    def seal(self, definition: str, document: Element, message_id: str | None = None) -> bytes:
        """Return a signed message of the bank."""
        self.sent += 1
        name = message_id or f"{self.name}-{self.sent:06}"
        header = Header(name, definition, self.me, Party(self.hub), self.at, self.drill)
        return envelope.seal(header, document, self.kid, self.key)

    def receipt(
        self,
        reference: str,
        status: str,
        reason: str | None = None,
        *,
        answers: str | None = None,
        ported_to: str | None = None,
        message_id: str | None = None,
    ) -> bytes:
        """camt.025 about the message with this reference."""
        make = xml.Maker(xml.ISO + schemas.RECEIPT)
        why = make("StsRsn", make("Rsn", make("Cd", reason))) if reason else None
        original = make("OrgnlMsgId", make("MsgId", reference), make("MsgNmId", answers) if answers else None)
        receipt = make(
            "Rct",
            make("MsgHdr", make("MsgId", f"{self.name}-R{self.sent + 1}")),
            make("RctDtls", original, make("ReqHdlg", make("Sts", make("Prtry", status)), why)),
            _answer(make, ported_to=ported_to) if ported_to else None,
        )
        return self.seal(schemas.RECEIPT, receipt, message_id)

    def held(
        self,
        reference: str,
        amount: int,
        currency: str = "VND",
        *,
        status: str = "BLKD",
        error: str | None = None,
        message_id: str | None = None,
    ) -> bytes:
        """camt.047: what is reserved now."""
        make = xml.Maker(xml.ISO + schemas.RESERVATION)
        if error:
            found = make("BizErr", make("Err", make("Prtry", error)))
        else:
            value = make("Amt", make("AmtWthCcy", money.written(amount, currency), Ccy=currency))
            found = make("Rsvatn", value, make("Sts", make("Cd", status)))
        name = make("RsvatnId", make("RsvatnId", reference[:32]), make("Tp", make("Cd", terms.BLOCKED)))
        document = make(
            "RtrRsvatn",
            make(
                "MsgHdr", make("MsgId", f"{self.name}-H{self.sent + 1}"), make("OrgnlBizQry", make("MsgId", reference))
            ),
            make("RptOrErr", make("BizRpt", make("CurRsvatn", name, make("RsvatnOrErr", found)))),
        )
        return self.seal(schemas.RESERVATION, document, message_id)

    def resolution(self, order_id: str, status: str, amount: int = 0, reason: str | None = None) -> bytes:
        """camt.029 about a recall."""
        make = xml.Maker(xml.ISO + schemas.RESOLUTION)
        bank = make("Agt", self._institution(make))
        hub = make("Pty", make("Id", make("OrgId", make("Othr", make("Id", self.hub)))))
        value = make("IntrBkSttlmAmt", money.written(amount, "VND"), Ccy="VND")
        document = make(
            "RsltnOfInvstgtn",
            make(
                "Assgnmt",
                make("Id", f"{self.name}-A{self.sent + 1}"),
                make("Assgnr", bank),
                make("Assgne", hub),
                make("CreDtTm", envelope.instant(self.at)),
            ),
            make(
                "RslvdCase",
                make("Id", UUID(order_id).hex),
                make("Cretr", make("Agt", self._institution(make))),
            ),
            make("Sts", make("Conf", {"ACCR": "CNCL", "RJCR": "RJCR", "PDCR": "PDCR"}[status])),
            make(
                "CxlDtls",
                make(
                    "TxInfAndSts",
                    make("TxCxlSts", status),
                    make("CxlStsRsnInf", make("Rsn", make("Cd", reason))) if reason else None,
                    make("RsltnRltdInf", value) if amount else None,
                ),
            ),
        )
        return self.seal(schemas.RESOLUTION, document)

    def disclosed(self, order_id: str, missing: str | None = None, *, account_number: str, **said: str) -> bytes:
        """auth.002 about a disclosure."""
        status = "NRES" if missing else "COMP"
        return self._found(order_id, status, account_number, "OWNE", missing or _answer_details(**said))

    def traced(self, order_id: str, answered: Traced, *, account_number: str, status: str | None = None) -> bytes:
        """auth.002 about a trace; ``status`` is COMP, or PART where there were more, unless it is said."""
        make = xml.Maker(xml.ORDER)
        lines = make("AnswrDtls", make("Mvmts", *(_line(make, each) for each in answered.movements)))
        said = status or ("PART" if answered.has_more else "COMP")
        return self._found(order_id, said, account_number, "ALLP", lines)

    def _found(self, order_id: str, status: str, account_number: str, parties: str, found: Element | str) -> bytes:
        """auth.002: what was found, or the code that says why nothing was."""
        make = xml.Maker(xml.ISO + schemas.DISCLOSED)
        account = make("Id", make("Othr", make("Id", account_number)))
        kind = make("AuthrtyReqTp", make("MsgNmId", schemas.DISCLOSED))
        result = make("InvstgtnSts", found) if isinstance(found, str) else make("Rslt", found)
        document = make(
            "InfReqRspn",
            make("RspnId", f"{self.name}-D{self.sent + 1}"),
            make("InvstgtnId", UUID(order_id).hex),
            make("RspnSts", status),
            make("SchCrit", make("Acct", make("Id", account), make("InvstgtdPties", make("Cd", parties)), kind)),
            make("RtrInd", make("AuthrtyReqTp", make("MsgNmId", schemas.DISCLOSED)), make("InvstgtnRslt", result)),
        )
        return self.seal(schemas.DISCLOSED, document)

    def reject(self, message_id: str, reason: str = "FF02", name: str | None = None) -> bytes:
        """admi.002: a message could not be processed."""
        make = xml.Maker(xml.ISO + schemas.REJECT)
        document = make(
            schemas.REJECT, make("RltdRef", make("Ref", message_id)), make("Rsn", make("RjctgPtyRsn", reason))
        )
        return self.seal(schemas.REJECT, document, name)

    def _institution(self, make: xml.Maker) -> Element:
        return terms.institution(make, bin_=self.me.bin, bic=self.me.bic, member=None if self.me.bin else self.me.id)


def _line(make: xml.Maker, moved: Moved) -> Element:
    value, currency = moved.amount
    other = moved.counterparty
    named = {"Tp": other["kind"], "Id": other["value"], "Svcr": other["institution"]} if other else {}
    return make(
        "Mvmt",
        CdtDbtInd="CRDT" if moved.direction == "in" else "DBIT",
        Amt=money.written(value, currency),
        Ccy=currency,
        BookgDtTm=moved.at,
        Knd=moved.kind,
        **named,
    )


def _answer(make: xml.Maker, **said: str) -> Element:
    return make("SplmtryData", make("Envlp", _answer_details(**said)))


def _answer_details(ported_to: str | None = None, **said: str) -> Element:
    make = xml.Maker(xml.ORDER)
    return make(
        "AnswrDtls",
        make("PrtdTo", ported_to) if ported_to else None,
        *(make("Dscld", value, Cd=code) for code, value in said.items()),
    )
