"""The ts2021 channel: Noise IK, its records, and the early payload (control reference 2.4, 2.5).

A contract package used by both ends. Bytes go in and bytes come out; entropy is an argument.
"""

from __future__ import annotations

from control.noise.early import (
    EarlyPayload,
    EarlyPayloadDecoder,
    EarlyPayloadError,
    encode_early_payload,
)
from control.noise.errors import HandshakeError, HandshakeFault, NoiseError, RecordError
from control.noise.handshake import Initiator, Responder, TransportKeys
from control.noise.messages import (
    INITIATION_BYTES,
    RESPONSE_BYTES,
    ResponseDecoder,
    decode_handshake_header,
    encode_error_frame,
    encode_handshake_header,
)
from control.noise.record import (
    MAX_PLAINTEXT_BYTES,
    MAX_RECORD_BYTES,
    RecordOpener,
    RecordSealer,
)

__all__ = [
    "INITIATION_BYTES",
    "MAX_PLAINTEXT_BYTES",
    "MAX_RECORD_BYTES",
    "RESPONSE_BYTES",
    "EarlyPayload",
    "EarlyPayloadDecoder",
    "EarlyPayloadError",
    "HandshakeError",
    "HandshakeFault",
    "Initiator",
    "NoiseError",
    "RecordError",
    "RecordOpener",
    "RecordSealer",
    "Responder",
    "ResponseDecoder",
    "TransportKeys",
    "decode_handshake_header",
    "encode_early_payload",
    "encode_error_frame",
    "encode_handshake_header",
]
