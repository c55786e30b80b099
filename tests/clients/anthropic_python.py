"""Anthropic's SDK for Python. usage: anthropic_python.py TASK BASE_URL MODEL"""

import asyncio
import sys

from anthropic import Anthropic, AsyncAnthropic

TASK, BASE_URL, MODEL = sys.argv[1:4]
HELLO = [{"role": "user", "content": "Hello"}]
OPTIONS = {"base_url": BASE_URL, "api_key": "none", "max_retries": 0, "timeout": 120}
# More than an endless stream has within a test.
MANY = 1_000_000
client = Anthropic(**OPTIONS)


def stream():
    return client.messages.create(model=MODEL, messages=HELLO, max_tokens=MANY, stream=True)


def answers():
    message = client.messages.create(model=MODEL, messages=HELLO, max_tokens=64)
    phrase = message.content[0].text.strip()
    assert "local model server" in phrase, message
    with client.messages.stream(model=MODEL, messages=HELLO, max_tokens=64) as streamed:
        pieces = list(streamed.text_stream)
        whole = streamed.get_final_message()
    assert "".join(pieces).strip() == phrase and len(pieces) > 3, pieces
    assert whole.stop_reason == "end_turn", whole
    counted = client.messages.count_tokens(model=MODEL, messages=HELLO)
    assert counted.input_tokens > 0, counted


def abort():
    with stream() as events:
        next(iter(events))
    print("aborted", flush=True)
    # The end of this process would end the connection, too.
    sys.stdin.read()


def breaks():
    """Reads a stream that must not look as if it were whole."""
    try:
        for event in stream():
            print("event", flush=True)
    except Exception as error:
        print("raised", type(error).__name__, error, flush=True)
    else:
        sys.exit("it ended as if it were whole")


async def crowd():
    async with AsyncAnthropic(**OPTIONS) as many:
        ask = many.messages.create
        asked = [ask(model=MODEL, messages=HELLO, max_tokens=2) for _ in range(200)]
        for answer in await asyncio.gather(*asked):
            assert answer.content[0].text, answer


match TASK:
    case "answers":
        answers()
    case "abort":
        abort()
    case "messages-breaks":
        breaks()
    case "crowd":
        asyncio.run(crowd())
    case _:
        sys.exit(f"no such task: {TASK}")
