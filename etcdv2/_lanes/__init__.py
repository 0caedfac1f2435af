"""The built-in HTTP/1.1 transports: `FastTransport` on blocking threads, `AsyncFastTransport` on an asyncio loop.

Owns the two names; each lane is imported when it is asked for by its module.
"""
