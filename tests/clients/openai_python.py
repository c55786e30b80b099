"""openai-python. usage: openai_python.py TASK BASE_URL MODEL…"""

import asyncio
import sys

from openai import AsyncOpenAI, OpenAI

TASK, BASE_URL, *MODELS = sys.argv[1:]
MODEL = MODELS[0]
HELLO = [{"role": "user", "content": "Hello"}]
OPTIONS = {"base_url": f"{BASE_URL}/v1", "api_key": "none", "max_retries": 0, "timeout": 120}
client = OpenAI(**OPTIONS)


def chat_stream():
    return client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)


def responses_stream():
    return client.responses.create(model=MODEL, input="Hello", stream=True)


def answers():
    chat = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=64)
    phrase = chat.choices[0].message.content.strip()
    assert "local model server" in phrase, chat
    chunks = list(chat_stream())
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed.strip() == phrase and len(chunks) > 3, chunks
    response = client.responses.create(model=MODEL, input="Hello", max_output_tokens=64)
    assert response.output_text.strip() == phrase, response
    events = list(responses_stream())
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas).strip() == phrase and events[-1].type == "response.completed", events
    vectors = client.embeddings.create(model=MODELS[1], input=["one", "two"]).data
    assert len(vectors) == 2 and len(vectors[0].embedding) == len(vectors[1].embedding) > 1, vectors


def abort():
    with chat_stream() as stream:
        next(iter(stream))
    print("aborted", flush=True)
    # The end of this process would end the connection, too.
    sys.stdin.read()


def breaks(stream):
    """Reads a stream that must not look as if it were whole."""
    try:
        for event in stream():
            print("event", flush=True)
    except Exception as error:
        print("raised", type(error).__name__, error, flush=True)
    else:
        sys.exit("it ended as if it were whole")


async def crowd():
    async with AsyncOpenAI(**OPTIONS) as many:
        ask = many.chat.completions.create
        asked = [ask(model=MODEL, messages=HELLO, max_tokens=2) for _ in range(200)]
        for answer in await asyncio.gather(*asked):
            assert answer.choices[0].message.content, answer


match TASK:
    case "answers":
        answers()
    case "abort":
        abort()
    case "chat-breaks":
        breaks(chat_stream)
    case "responses-breaks":
        breaks(responses_stream)
    case "crowd":
        asyncio.run(crowd())
    case _:
        sys.exit(f"no such task: {TASK}")
