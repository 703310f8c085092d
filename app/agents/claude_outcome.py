"""What became of one try of Claude Code: pure, from how the program ended, what it said and what the proxy saw.

An error can look like a success (``subtype=success`` with ``is_error``), and a success ends with an exit code of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.agents.claude_stream import Transcript
from app.agents.fences import last_object
from app.agents.model_access import Trouble, TroubleKind, failed
from app.domain.text import one_line
from app.ports.agent import AgentResult
from app.process import Finished

TEXT_LIMIT = 200_000
"""Characters at the end of the answer's text that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Try:
    """One run of the program. ``session`` is what it was told to resume, ``trouble`` what the model's API said last
    when it failed, ``worked`` whether it answered at all, in this try or one before it. ``time_limit``, ``idle``
    (seconds) and ``max_turns`` are what it was held to.
    """

    done: Finished
    transcript: Transcript
    trouble: Trouble | None
    worked: bool
    session: str | None
    time_limit: float
    idle: float
    max_turns: int

    @property
    def succeeded(self) -> bool:
        ended = self.transcript.ended
        return self.done.ok and ended is not None and ended.kind == "success" and not ended.is_error

    @property
    def gave_up_on_the_api(self) -> bool:
        """Whether the program itself came to its end and says that the API was the reason."""
        ended, code = self.transcript.ended, self.done.exit_code
        return ended is not None and ended.api_error and code is not None and code >= 0

    @property
    def lost_its_session(self) -> bool:
        """Whether what it was to resume is gone, or too long by now: nothing was said, and no API is to blame."""
        blameless = self.trouble is None or self.trouble.kind is TroubleKind.TOO_LONG
        ended_by_itself = self.done.exit_code is not None and not self.succeeded
        return bool(self.session) and ended_by_itself and blameless and not self.transcript.answered


def outcome(tried: Try) -> AgentResult:
    """The result, without its usage. ``Failure.UNAVAILABLE`` is worth another try.

    Once the API has answered, the agent's own commands may have been at work: they can ask the API for what makes it
    fail, and kill the program. So from then on the API is to blame only where the program itself says so.

    Raises UsageError when the API refuses in a way that it will refuse every call in.
    """
    session = tried.transcript.session
    if tried.succeeded and (ended := tried.transcript.ended):
        text = ended.text[-TEXT_LIMIT:].replace("\0", "")
        answer = ended.answer if ended.answer is not None else last_object(text)
        return AgentResult(text=text, answer=answer, session=session)
    trouble = tried.trouble
    if problem := _own_problem(tried):
        return AgentResult(error=problem, session=session)
    if trouble is None or (trouble.kind is TroubleKind.TRANSIENT and tried.worked and not tried.gave_up_on_the_api):
        return AgentResult(error=_last_words(tried), session=session)
    return failed(trouble, session, worked=tried.worked)


def _own_problem(tried: Try) -> str:
    """What can only be the call's own fault, whatever the API said before; empty otherwise."""
    done, ended = tried.done, tried.transcript.ended
    if done.stopped:
        return "Claude Code was stopped."
    if done.timed_out:
        return f"Claude Code did not end within {tried.time_limit:g} s."
    if done.idle and tried.trouble is None:
        return f"Claude Code gave no sign of life for {tried.idle:g} s."
    if ended and ended.kind == "error_max_turns":
        return f"Claude Code was not done after {tried.max_turns} turns."
    return ""


def _last_words(tried: Try) -> str:
    done, ended = tried.done, tried.transcript.ended
    if ended and ended.is_error:
        return f"Claude Code failed: {ended.why.rstrip('.') or ended.kind}."
    if done.exit_code is None:
        return "Claude Code could not be started."
    said = done.stderr[-4000:].decode("utf-8", "replace").strip().splitlines()
    last = f": {one_line(said[-1], 300).rstrip('.')}" if said else ""
    if done.ok:
        return f"Claude Code ended without a result{last}."
    how = f"was killed (signal {-done.exit_code})" if done.exit_code < 0 else f"ended with exit code {done.exit_code}"
    return f"Claude Code {how}{last}."
