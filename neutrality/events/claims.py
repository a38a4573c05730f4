"""The six kinds of event data. Each event but a correction reports one claim about one subject.

A claim is named by `claim_id` within its subject; a later event on the same claim id updates it. The subject's entity id is the
Kafka key and the CloudEvents `subject`: of an interest or a role the organisation in which it is held, of a contract or a revenue the supplier.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from neutrality.events.vocabulary import (
    Category,
    ClaimId,
    EntityId,
    Evidence,
    Identifier,
    Instant,
    Money,
    Share,
    Status,
    Wire,
)

Text = Annotated[str, StringConstraints(max_length=2000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class ClaimReport(Wire):
    """What every report of a claim carries.

    `effective_time` is when the reported state begins to hold (the end, for `terminated`); `end_time` is when it ends by itself.
    `contradicts` names other claims of the same subject that this report disputes.
    """

    claim_id: ClaimId
    status: Status
    effective_time: Instant
    end_time: Instant | None = None
    evidence: Annotated[tuple[Evidence, ...], Field(min_length=1, max_length=50)]
    contradicts: Annotated[tuple[ClaimId, ...], Field(max_length=50)] = ()
    note: Text | None = None

    @model_validator(mode="after")
    def _term_is_forward(self) -> Self:
        """Refuse a term that ends before it begins."""
        if self.end_time is not None and self.end_time <= self.effective_time:
            raise ValueError("`end_time` must be after `effective_time`")
        return self


class EntityKind(StrEnum):
    """BODS entity and person statements."""

    ORGANISATION = "organisation"
    PERSON = "person"
    ARRANGEMENT = "arrangement"


class Entity(ClaimReport):
    """What an entity is. Fields left out say nothing; several claims about one entity complete one another.

    `group` names the lab whose group the entity belongs to; `affiliates` the labs that this lab does not count as rivals. `name` and `aliases` hold
    for the claim's term. `merged_into`: the subject is the entity of that id, under which its claims are kept from now on.
    """

    subject: EntityId
    name: Name | None = None
    kind: EntityKind | None = None
    is_vendor: bool | None = None
    is_lab: bool | None = None
    group: EntityId | None = None
    affiliates: Annotated[tuple[EntityId, ...], Field(max_length=100)] | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=50)] | None = None
    board_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    valuation: Money | None = None
    identifiers: Annotated[tuple[Identifier, ...], Field(max_length=50)] | None = None
    aliases: Annotated[tuple[Name, ...], Field(max_length=50)] | None = None
    merged_into: EntityId | None = None

    @model_validator(mode="after")
    def _into_another(self) -> Self:
        """Refuse a merger with itself."""
        if self.merged_into == self.subject:
            raise ValueError("`merged_into` is the subject itself")
        return self


class InterestType(StrEnum):
    """BODS 0.4 `interestType`, but for the senior managing official, the board's members and its chair, which are roles.

    The model counts the first three; the others are kept and shown.
    """

    SHAREHOLDING = "shareholding"
    VOTING_RIGHTS = "votingRights"
    APPOINTMENT_OF_BOARD = "appointmentOfBoard"
    OTHER_INFLUENCE_OR_CONTROL = "otherInfluenceOrControl"
    SETTLOR = "settlor"
    TRUSTEE = "trustee"
    PROTECTOR = "protector"
    BENEFICIARY_OF_LEGAL_ARRANGEMENT = "beneficiaryOfLegalArrangement"
    RIGHTS_TO_SURPLUS_ASSETS_ON_DISSOLUTION = "rightsToSurplusAssetsOnDissolution"
    RIGHTS_TO_PROFIT_OR_INCOME = "rightsToProfitOrIncome"
    RIGHTS_GRANTED_BY_CONTRACT = "rightsGrantedByContract"
    CONDITIONAL_RIGHTS_GRANTED_BY_CONTRACT = "conditionalRightsGrantedByContract"
    CONTROL_VIA_COMPANY_RULES_OR_ARTICLES = "controlViaCompanyRulesOrArticles"
    CONTROL_BY_LEGAL_FRAMEWORK = "controlByLegalFramework"
    UNKNOWN_INTEREST = "unknownInterest"
    UNPUBLISHED_INTEREST = "unpublishedInterest"
    ENJOYMENT_AND_USE_OF_ASSETS = "enjoymentAndUseOfAssets"
    RIGHT_TO_PROFIT_OR_INCOME_FROM_ASSETS = "rightToProfitOrIncomeFromAssets"
    NOMINEE = "nominee"
    NOMINATOR = "nominator"


class Interest(ClaimReport):
    """What an interested party holds in a subject.

    `share` left out means unknown. `appointmentOfBoard` is the right to appoint the majority of the board. An indirect interest may name the
    claims that it is made of in `component_claims`; it then yields to them, so that one holding counts once.
    """

    subject: EntityId
    interested_party: EntityId
    interest_type: InterestType
    share: Share | None = None
    direct_or_indirect: Literal["direct", "indirect", "unknown"] = "direct"
    component_claims: Annotated[tuple[ClaimId, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _not_in_itself(self) -> Self:
        """Refuse an entity that holds an interest in itself (treasury shares carry no influence)."""
        if self.subject == self.interested_party:
            raise ValueError("`interested_party` is the subject itself; leave out treasury shares")
        return self


class RoleType(StrEnum):
    """Roles that tie an organisation to another through a person."""

    EXECUTIVE = "executive"
    BOARD_MEMBER = "board_member"


class Role(ClaimReport):
    """A person's role in an organisation. `represents` is the party that the person is appointed by; `left_for` where they went."""

    subject: EntityId
    person: EntityId
    role_type: RoleType
    title: Annotated[str, StringConstraints(max_length=200)] | None = None
    represents: EntityId | None = None
    left_for: EntityId | None = None


class Intent(StrEnum):
    """What a customer means to do with a contract."""

    CONTINUE = "continue"
    REDUCE = "reduce"
    END = "end"


class Contract(ClaimReport):
    """Work that a customer buys, or a plan to change it (`intent`)."""

    subject: EntityId
    customer: EntityId
    intent: Intent = Intent.CONTINUE
    categories: Annotated[tuple[Category, ...], Field(max_length=50)] = ()
    data_classes: Annotated[tuple[Category, ...], Field(max_length=50)] = ()
    annual_value: Money | None = None


class Revenue(ClaimReport):
    """A supplier's revenue in one fiscal year: in all, or from one `customer`."""

    subject: EntityId
    customer: EntityId | None = None
    fiscal_year: Annotated[int, Field(ge=1900, le=2200)]
    amount: Money


class EventRef(Wire):
    """Names one event: CloudEvents `source` and `id`."""

    source: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Correction(Wire):
    """Takes back one event, or all events so far of one claim (those recorded up to the correction's `time`)."""

    subject: EntityId
    retracts_event: EventRef | None = None
    retracts_claim: ClaimId | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    evidence: Annotated[tuple[Evidence, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        """Refuse a correction without exactly one target."""
        if (self.retracts_event is None) == (self.retracts_claim is None):
            raise ValueError("give exactly one of `retracts_event` and `retracts_claim`")
        return self


Claim = Entity | Interest | Role | Contract | Revenue
