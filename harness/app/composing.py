"""The prompt of a session: template, variables and fences put together (contract 9)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from harness.config.load import Loaded
from harness.engine.plan import PromptRequest
from harness.ports import Prompt, Prompts
from harness.prompting.fence import unfenced
from harness.prompting.variables import (
    BY_HAND,
    GateFacts,
    HandoverFacts,
    RepositoryFacts,
    ReviewFacts,
    SessionFacts,
    choose_template,
    variables,
)


@dataclass(slots=True)
class TemplateComposer:
    """Implements engine.plan.Composer; `prompt render` uses the same object, so it shows what an agent would get."""

    loaded: Loaded
    prompts: Prompts

    def compose(self, request: PromptRequest) -> Prompt:
        kind = self.loaded.config.kind(request.item.kind)
        if request.review is not None and request.plan.review is not None:
            return self._rendered(request.plan.review.template, request)
        template = choose_template(request.item, kind.template, conflict=request.conflict, resume=request.resume)
        return self._rendered(template, request)

    def by_hand(self, request: PromptRequest) -> str:
        """The same facts for a person: other instructions, and no fences. Raises TemplateError."""
        return unfenced(self._rendered(BY_HAND, request).text)

    def _rendered(self, template: str, request: PromptRequest) -> Prompt:
        kind = self.loaded.config.kind(request.item.kind)
        return self.prompts.render(
            template,
            variables(
                request.item,
                self._session(request),
                self._repository(request),
                expects="document" if request.review is not None else kind.expects,
                template=kind.template,
                history=request.history,
                handover=HandoverFacts(**asdict(request.handover)) if request.handover else None,
                review=ReviewFacts(**asdict(request.review)) if request.review else None,
            ),
        )

    def _session(self, request: PromptRequest) -> SessionFacts:
        limits = request.plan.limits
        return SessionFacts(
            request.session, request.iteration, request.deadline_at, limits.max_cost_usd, limits.max_turns
        )

    def _repository(self, request: PromptRequest) -> RepositoryFacts:
        section = self.loaded.config.repository(request.plan.repo.name)
        gates = section.every_gate if section else ()
        return RepositoryFacts(
            name=request.plan.repo.name,
            branch=request.plan.branch,
            instructions=section.instructions if section else "",
            gates=tuple(
                GateFacts(gate.name, getattr(gate, "run", None) or "", gate.says)
                for gate in gates
                if gate.name in request.plan.gates
            ),
            guides=request.guides,
        )
