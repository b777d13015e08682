"""What leaves the host, a batch at a time."""

from __future__ import annotations

from node.datapath.flows import FlowState
from tests.support.datapath_pair import DataPathPair
from tests.support.packets import sctp_chunk, sctp_init, sctp_packet

DATA, ABORT = sctp_chunk(0, bytes(16)), sctp_chunk(6, bytes(16))


def test_each_sctp_packet_of_a_batch_is_looked_at() -> None:
    pair = DataPathPair()
    try:
        pair.a.host_sends(sctp_packet("10.0.0.1", "10.0.0.2", 5, 6, 0, sctp_init(7)))
        pair.settle()
        # Of one length and one flow: what tells them apart is further in.
        for chunk in (DATA, ABORT, DATA, DATA, DATA):
            pair.a.host_sends(sctp_packet("10.0.0.1", "10.0.0.2", 5, 6, 9, chunk))
        pair.settle()
        assert len(pair.b.host_got()) == 6
        (flow,) = pair.a.path.gate.recent_flows(2)
        assert flow.state is FlowState.CLOSING
    finally:
        pair.close()
