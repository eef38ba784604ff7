"""Many clients of the page at once, and what the server's memory does meanwhile."""

import io
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import psutil
import requests


@dataclass
class Load:
    """What was asked of a server, and its resident memory (MB) at even intervals."""

    seconds: float
    answers: Counter[int] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)


def load(
    address: str, clients: int, seconds: float, seed: int = 0, pid: int | None = None, every: float = 30.0
) -> Load:
    """Let `clients` threads ask for everything that the page asks for, one thing after the other, for some seconds.

    Parameters
    ----------
    address
        Of the page, with a stroke at its end.
    pid
        Of the server; its memory is looked at `every` so many seconds.
    """
    found, lock, ends = Load(seconds), threading.Lock(), time.monotonic() + seconds
    count = requests.get(f"{address}api/page", timeout=60).json()["levels"]["cells"]["count"]
    sliders = [s["dimension"] for s in requests.get(f"{address}api/page", timeout=60).json()["sliders"]]
    upload = requests.get(f"{address}api/cells/0/crop.png", timeout=60).content

    def client(number: int) -> None:
        chance, session = random.Random(f"{seed} {number}"), requests.Session()
        while time.monotonic() < ends:
            cell = chance.randrange(count)
            match chance.randrange(6):
                case 0:
                    answer = session.get(f"{address}api/cells/{cell}/crop.png", timeout=60)
                case 1:
                    answer = session.get(f"{address}api/cells/{cell}/reconstruction.png", timeout=60)
                case 2:
                    answer = session.get(f"{address}api/cells/items/{cell}/similar?top=12", timeout=60)
                case 3:
                    moves = {chance.choice(sliders): chance.uniform(-3, 3)}
                    answer = session.post(f"{address}api/walk", json={"start": cell, "moves": moves}, timeout=60)
                case 4:
                    answer = session.get(f"{address}api/cells/points", timeout=60)
                case _:
                    picture, kind = io.BytesIO(upload), {"Content-Type": "image/png"}
                    answer = session.post(f"{address}api/search", data=picture, headers=kind, timeout=60)
            with lock:
                found.answers[answer.status_code] += 1

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    while pid is not None and time.monotonic() < ends:
        found.memory.append(round(psutil.Process(pid).memory_info().rss / 2**20, 1))
        time.sleep(min(every, max(0.0, ends - time.monotonic())))
    for thread in threads:
        thread.join()
    return found
