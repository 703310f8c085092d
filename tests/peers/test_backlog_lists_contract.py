"""What people at a terminal ask of the backlog, kept over real PostgREST and over Supabase Lite."""

from __future__ import annotations

import pytest

from tests.contracts.test_backlog_lists import *  # noqa: F403 - every test of the contract
from tests.peers import test_backlog_contract as contract
from tests.peers.supabase import database, gateway, project

__all__ = ["database", "gateway", "project"]

pytestmark = pytest.mark.peer

store = contract.store
