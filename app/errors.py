"""One error tree. Exit code and HTTP status are on the class; the message is one sentence for who reads it."""

from __future__ import annotations


class MasonError(Exception):
    """Mason cannot go on."""

    exit_code = 70
    http_status = 500
    """From 500 on the web app keeps the message to its log."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class UsageError(MasonError):
    """The command line or the configuration cannot be used."""

    exit_code = 2


class NotMigrated(UsageError):
    """The database lacks Mason's tables: run `mason migrate` (or POST /api/setup/migrations) first."""

    http_status = 409


class NoChecks(UsageError):
    """No typecheck, lint, build or test was found in the repository; name them in .github/mason.yml."""


class Unreachable(MasonError):
    """A service that Mason needs did not answer."""

    exit_code = 3
    http_status = 503

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that it asked to be left alone for; None when it asked for nothing."""


class DatabaseUnreachable(Unreachable):
    """The database did not answer."""


class DatabaseRefused(UsageError):
    """The database answered, and refused."""


class ForgeUnreachable(Unreachable):
    """GitHub did not answer, or had an error of its own, for too long."""


class ForgeRefused(MasonError):
    """GitHub answered, and refused."""

    exit_code = 1


class BadCode(ForgeRefused):
    """GitHub knows no such code (any more): it was used, or it is older than an hour."""

    http_status = 409


class SetupClosed(MasonError):
    """The setup is closed. `POST /setup/open` with an admin key opens it again."""

    http_status = 404


class SetupMistake(UsageError):
    """What was filled in cannot be used."""

    http_status = 400


class MissingPermission(UsageError):
    """The GitHub token lacks a permission."""


class Cancelled(MasonError):
    """The run was cancelled."""

    exit_code = 4


class GitFailed(MasonError):
    """Git could not do what was asked."""


class BadRepository(UsageError):
    """The repository cannot be used."""


class MergeConflict(MasonError):
    """Two changes touch the same lines. ``paths`` are the conflicting files."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        more = f" and {len(paths) - 10} more" if len(paths) > 10 else ""
        super().__init__(f"conflicting changes in {', '.join(paths[:10]) or 'unknown files'}{more}")
        self.paths = paths


class Busy(MasonError):
    """Somebody else is at it right now."""

    http_status = 503


class UnknownRun(MasonError):
    """There is no such run."""

    http_status = 404


class BadCursor(MasonError):
    """This cursor was not given by a page of this log."""

    http_status = 400


class NotThere(MasonError):
    """There is no such thing."""

    http_status = 404


class NotNow(MasonError):
    """What this is in the middle of, or has ended, does not allow that."""

    http_status = 409


class BadCredentials(MasonError):
    """The credentials of the request cannot be used."""

    http_status = 400


class NotAllowed(MasonError):
    """Mason may not do this there."""

    http_status = 403


class RunEnded(MasonError):
    """This run is not in progress, or is somebody else's."""

    http_status = 409


class FenceFell(MasonError):
    """Somebody else has taken over what this process was at; it writes nothing more."""


class Told(MasonError):
    """It failed, and whoever asked is told why, also from 500 on. ``details`` are places and what is wrong there."""

    def __init__(self, message: str = "", details: tuple[tuple[tuple[str | int, ...], str], ...] = ()) -> None:
        super().__init__(message)
        self.details = details


class MigrationFailed(Told):
    """The database met an error in a migration."""


class TargetUnreachable(Told):
    """The database that was to be migrated did not answer."""

    exit_code = 3
    http_status = 503


class ItemsRefused(Told):
    """Nothing was started: some items cannot be run. ``details`` name each of them."""

    http_status = 409


class BadTarget(MasonError):
    """This database may not be migrated from here, or does not let Mason in."""

    http_status = 400


class MigrationConflict(MasonError):
    """The database was migrated by another Mason."""

    http_status = 409
