"""Virtual time for LocalStack's services: in their modules `time`, `datetime` and `threading` are stand-ins that follow the bed's clock.

So a Wait state, TimeoutSeconds, HeartbeatSeconds, a Retry interval, a queue's visibility timeout take 1/factor of their time, and history,
executions, roles and messages carry virtual timestamps. The stand-ins replace only names in modules of the services listed here.
"""

import datetime
import importlib
import sys
import threading
import time
import types

from testbed.aws.settings import CLOCK

PACKAGES = (
    "localstack.services.events",
    "localstack.services.iam",
    "localstack.services.sqs",
    "localstack.services.stepfunctions",
    "localstack.services.sts",
)

PROVIDERS = tuple(f"{package}.provider" for package in PACKAGES)
"""Importing these loads every module of the packages that runs at all."""


SHORTEST_PERIOD_SECONDS = 0.05
"""Real seconds between two rounds of a periodic worker, at the least: beyond that a higher factor would only cost CPU."""


class _Standin(types.ModuleType):
    """A module that answers for another, but for the names set on it."""

    def __init__(self, original: types.ModuleType, **changed: object):
        super().__init__(original.__name__)
        self.__dict__.update(changed)
        self.__dict__["_original"] = original

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["_original"], name)


class _DatetimeType(type):
    """Plain datetimes are instances of the stand-in, and calling it makes plain datetimes."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime.datetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, datetime.datetime)


class VirtualDatetime(datetime.datetime, metaclass=_DatetimeType):
    """datetime.datetime whose present is virtual. Never instantiated itself."""

    def __new__(cls, *arguments, **named):
        return datetime.datetime(*arguments, **named)

    @classmethod
    def now(cls, tz=None):
        """The virtual instant; without a time zone UTC, whatever the machine's own."""
        instant = datetime.datetime.fromtimestamp(CLOCK.now(), datetime.UTC)
        return instant.astimezone(tz) if tz is not None else instant.replace(tzinfo=None)

    @classmethod
    def utcnow(cls):
        """The virtual instant in UTC, naive."""
        return cls.now()

    @classmethod
    def fromtimestamp(cls, timestamp, tz=None):
        """A plain datetime."""
        return datetime.datetime.fromtimestamp(timestamp, tz)

    @classmethod
    def fromisoformat(cls, text):
        """A plain datetime."""
        return datetime.datetime.fromisoformat(text)

    @classmethod
    def strptime(cls, text, pattern):
        """A plain datetime."""
        return datetime.datetime.strptime(text, pattern)


def _real(timeout: float | None) -> float | None:
    # threading refuses waits beyond TIMEOUT_MAX; nobody lives to see the difference.
    return None if timeout is None else min(CLOCK.real(timeout), threading.TIMEOUT_MAX)


class VirtualEvent(threading.Event):
    """An Event whose wait takes virtual seconds."""

    def wait(self, timeout=None):
        """Whether it was set in time."""
        return super().wait(_real(timeout))


class VirtualThread(threading.Thread):
    """A Thread whose join takes virtual seconds."""

    def join(self, timeout=None):
        """Returns when the thread ended, or the time is over."""
        super().join(_real(timeout))


class VirtualCondition(threading.Condition):
    """A Condition whose wait takes virtual seconds."""

    def wait(self, timeout=None):
        """Whether it was notified in time."""
        return super().wait(_real(timeout))

    def wait_for(self, predicate, timeout=None):
        """The predicate's last value."""
        return super().wait_for(predicate, timeout)


def _sleep(seconds: float) -> None:
    time.sleep(CLOCK.real(seconds))


TIME = _Standin(time, time=CLOCK.now, sleep=_sleep)
DATETIME = _Standin(datetime, datetime=VirtualDatetime)
THREADING = _Standin(threading, Event=VirtualEvent, Thread=VirtualThread, Condition=VirtualCondition)

_REPLACEMENTS = (
    (time, TIME),
    (datetime, DATETIME),
    (datetime.datetime, VirtualDatetime),
    (threading, THREADING),
    (threading.Event, VirtualEvent),
    (threading.Thread, VirtualThread),
    (threading.Condition, VirtualCondition),
    (time.time, CLOCK.now),
    (time.sleep, _sleep),
)


def replace_in(module: types.ModuleType) -> None:
    """Gives one module the stand-ins, under whatever names it imported the originals."""
    for name, value in list(vars(module).items()):
        for original, standin in _REPLACEMENTS:
            if value is original:
                setattr(module, name, standin)


def apply() -> None:
    """Loads the services' modules and puts them on virtual time."""
    for provider in PROVIDERS:
        importlib.import_module(provider)
    for name, module in list(sys.modules.items()):
        if module is not None and name.startswith(PACKAGES):
            replace_in(module)
    _queues()
    _nested_executions()
    _policy_conditions()


def _queues() -> None:
    """SQS's messages stand in the standard library's Queue, which waits in real time; and the worker that makes messages visible again
    looks once a (real) second, which would be a minute and more of virtual time."""
    from localstack.services.sqs import provider
    from localstack.services.sqs.queue import InterruptibleQueue

    original = InterruptibleQueue.__init__

    def __init__(self, *arguments, **named):
        original(self, *arguments, **named)
        self.not_empty = VirtualCondition(self.mutex)
        self.not_full = VirtualCondition(self.mutex)

    InterruptibleQueue.__init__ = __init__

    class Scheduler(provider.Scheduler):
        def schedule(self, func, period=None, **named):
            return super().schedule(func, period=period and max(SHORTEST_PERIOD_SECONDS, CLOCK.real(period)), **named)

    provider.Scheduler = Scheduler


def _nested_executions() -> None:
    """A `.sync` task asks for its child's status in rounds; AWS is told of the end by an event and asks rarely."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
        state_task_service_callback as module,
    )

    module._DELAY_SECONDS_SYNC_CONDITION_CHECK = max(module._DELAY_SECONDS_SYNC_CONDITION_CHECK, 2 * SHORTEST_PERIOD_SECONDS * CLOCK.factor)


def _policy_conditions() -> None:
    """aws:CurrentTime and aws:EpochTime in policies are virtual."""
    from ministack.core import iam_evaluator

    iam_evaluator._dt = DATETIME
