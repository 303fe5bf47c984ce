# SPDX-License-Identifier: MIT
"""Zstandard by libzstd, which every Debian has for its dpkg; Python's own library knows it only since 3.14."""

import ctypes

LIBRARY = "libzstd.so.1"
PIECE_BYTES = 1 << 20


class Buffer(ctypes.Structure):
    """ZSTD_inBuffer and ZSTD_outBuffer (zstd.h, "Streaming")."""

    _fields_ = [("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t)]


class ZstdError(Exception):
    """What libzstd says about data that is not as it should be."""


def load():
    """The library with its functions declared; OSError where there is none."""
    library = ctypes.CDLL(LIBRARY)
    library.ZSTD_createDStream.restype = ctypes.c_void_p
    library.ZSTD_freeDStream.argtypes = [ctypes.c_void_p]
    library.ZSTD_decompressStream.argtypes = [ctypes.c_void_p, ctypes.POINTER(Buffer), ctypes.POINTER(Buffer)]
    library.ZSTD_decompressStream.restype = ctypes.c_size_t
    library.ZSTD_isError.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.argtypes = [ctypes.c_size_t]
    library.ZSTD_getErrorName.restype = ctypes.c_char_p
    return library


class Decompressor:
    """One frame, with the interface of bz2.BZ2Decompressor; decompress() is called once."""

    def __init__(self):
        self.eof = False
        self.unused_data = b""

    def decompress(self, data, most_bytes):
        """At most so many bytes of what is in the frame at the start of the data; ZstdError when it is broken."""
        library = load()
        source = Buffer(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data), 0)
        piece = ctypes.create_string_buffer(PIECE_BYTES)
        inside = bytearray()
        stream = library.ZSTD_createDStream()
        try:
            while not self.eof and len(inside) < most_bytes:
                target = Buffer(ctypes.addressof(piece), min(PIECE_BYTES, most_bytes - len(inside)), 0)
                left = library.ZSTD_decompressStream(stream, ctypes.byref(target), ctypes.byref(source))
                if library.ZSTD_isError(left):
                    raise ZstdError(library.ZSTD_getErrorName(left).decode())
                inside += ctypes.string_at(piece, target.position)
                self.eof = left == 0
                if source.position == source.size and target.position < target.size:
                    break
        finally:
            library.ZSTD_freeDStream(stream)
        self.unused_data = data[source.position:]
        return bytes(inside)
