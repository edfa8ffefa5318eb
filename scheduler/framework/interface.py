"""The extension points of scheduling, one small class each.

    PreEnqueue   may the pod enter the queue?
    QueueSort    which pod is next?
    PreFilter    can it run anywhere at all? is this plugin concerned?
    Filter       which nodes cannot take it, and why?
    PostFilter   nobody can: make room?
    PreScore     is this plugin concerned?
    Score        how good is each node, 0 to 100?
    Reserve      the node is chosen: take what belongs to it; give it back if anything fails later
    Permit       now, later or never?
    PreBind      prepare (volumes)
    Bind         tell the API server
    PostBind     it is done

A plugin inherits from the points at which it wants a say. Filter and Score judge all nodes at once: they read columns
and answer with arrays that have one place per node (places without a node are False in `nodes.valid` and never win).
Plugins meet only through `CycleState`.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/scheduling-framework/
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock
from scheduler.framework.devices.manager import Devices
from scheduler.framework.nodes import Mask, Nodes
from scheduler.framework.nominator import Nominator
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.waiting_pods import WaitingPods

Scores = npt.NDArray[np.float64]

MAX_SCORE = 100.0


class Code(enum.Enum):
    """What a plugin may answer besides success, which is None."""

    ERROR = "Error"
    UNSCHEDULABLE = "Unschedulable"
    UNRESOLVABLE = "UnschedulableAndUnresolvable"  # removing pods would not help either
    WAIT = "Wait"
    SKIP = "Skip"
    PENDING = "Pending"


@dataclass(frozen=True, slots=True)
class Status:
    """A plugin's answer when it is not plain success."""

    code: Code
    reason: str = ""
    plugin: str = ""
    seconds: float = 0.0  # WAIT: how long at most


SKIP = Status(Code.SKIP)


class PluginError(Exception):
    """A plugin cannot judge this pod at all; the pod is tried again after its delay, whatever happens meanwhile."""


class Refusal(NamedTuple):
    """Nodes that a filter rules out for one reason. `resolvable`: could they accept if pods went away?"""

    nodes: Mask
    reason: str
    resolvable: bool = True


class CycleState:
    """What plugins write down during one pod's cycle, and which of them have nothing to do in it."""

    __slots__ = ("confined", "data", "skip_filter", "skip_score")

    def __init__(self) -> None:
        self.confined: tuple[str, frozenset[str]] | None = None  # by whom, and to which nodes
        self.data: dict[str, Any] = {}
        self.skip_filter: set[str] = set()
        self.skip_score: set[str] = set()


class Action:
    """What happened to an object, as finely as the queue wants to know it; bits, to be combined by `|`.

    Plain numbers and no `IntFlag`: every event of the cluster is compared with every interest.
    """

    ADD = 1
    DELETE = 2
    UPDATE = 4
    NODE_ALLOCATABLE = 8
    NODE_LABEL = 16
    NODE_TAINT = 32  # unschedulable counts as one
    NODE_CONDITION = 64
    POD_LABEL = 128
    POD_SCALE_DOWN = 256
    POD_TOLERATION = 512
    POD_GATES_ELIMINATED = 1024
    POD_GENERATED_CLAIM = 2048
    NODE_DECLARED_FEATURE = 4096


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """Something that may let a waiting pod be scheduled. `label` is upstream's name of it, used in metrics."""

    resource: str  # "Node", "AssignedPod", "UnscheduledPod", "PersistentVolumeClaim", ...
    action: int
    label: str = ""


POD_DELETED = ClusterEvent("AssignedPod", Action.DELETE, "AssignedPodDelete")

LIVING_PODS = "status.phase!=Succeeded,status.phase!=Failed"  # what the informer of pods follows
EXTENDER = "Extender"  # stands among the plugins that refused a pod for all extenders that did

Hint = Callable[[PodInfo, Object | None, Object | None], bool]
"""Could this change (old object, new object) help this pod?"""


class EventHint(NamedTuple):
    """A plugin wants waiting pods looked at when this happens; without a hint, always."""

    resource: str
    actions: int
    hint: Hint | None = None


@dataclass
class Handle:
    """What plugins are given to work with."""

    client: Client
    informers: Informers
    clock: Clock
    nodes: Nodes
    nominator: Nominator
    waiting: WaitingPods
    devices: Devices
    record: Callable[..., None]  # record(pod, type, reason, action, note, preemptor=None)
    spawn: Callable[[Coroutine[Any, Any, None]], None]  # run something beside the scheduling loop
    activate: Callable[[str], None]  # try the waiting pod with this uid as soon as possible
    random: random.Random = field(default_factory=random.Random)
    extenders: list[Any] = field(default_factory=list)  # programs that are asked besides the plugins
    framework: Any = None  # the Framework that the plugin belongs to, once it is built


class Plugin:
    """Something with a name that takes part in scheduling."""

    name: ClassVar[str] = ""

    def __init__(self, handle: Handle, args: Object) -> None:
        self.handle = handle
        self.args = args

    def events(self) -> list[EventHint]:
        """What may make a pod schedulable again that this plugin refused."""
        return []


class PreEnqueuePlugin(Plugin):
    """Keeps pods out of the queue."""

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        """None lets the pod in."""
        raise NotImplementedError


class QueueSortPlugin(Plugin):
    """Orders the queue; a profile has exactly one."""

    def sort_key(self, pod: PodInfo, since: float) -> tuple[Any, ...]:
        """The smallest key is next. `since` is when the pod entered the queue."""
        raise NotImplementedError


class PreFilterPlugin(Plugin):
    """Prepares filtering."""

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        """SKIP: this plugin's Filter has nothing to say. Any other status: no node can take the pod."""
        raise NotImplementedError


class FilterPlugin(Plugin):
    """Rules out nodes."""

    local: ClassVar[bool] = True
    """Does the verdict on a node depend on that node and its pods alone?"""

    depends_on_pods: ClassVar[bool] = False
    """Can the verdict change when pods are placed or removed?"""

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterable[Refusal]:
        """Every reason with the nodes that it rules out; a node may be ruled out for several."""
        raise NotImplementedError


class PostFilterPlugin(Plugin):
    """Acts when no node passed."""

    async def post_filter(self, state: CycleState, pod: PodInfo, verdict: Any) -> PostFilterResult:
        """Try to make room."""
        raise NotImplementedError


class PostFilterResult(NamedTuple):
    """The node for which room was made (empty: none; None: leave the nomination as it is), and what to tell
    the user.
    """

    nominated_node: str | None = None
    message: str = ""
    success: bool = False


class PreScorePlugin(Plugin):
    """Prepares scoring."""

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        """SKIP: this plugin's Score has nothing to say."""
        raise NotImplementedError


class ScorePlugin(Plugin):
    """Ranks nodes."""

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        """Raw scores; only those of feasible nodes are looked at."""
        raise NotImplementedError

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        """Bring raw scores to 0..100; by default they are already."""
        return scores


class ReservePlugin(Plugin):
    """Takes and gives back what belongs to the chosen node."""

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """Take it."""
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """Give it back; must work also when nothing was taken."""


class PermitPlugin(Plugin):
    """Lets a pod pass, wait, or go back."""

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """WAIT holds the pod until every plugin that said so allows it."""
        raise NotImplementedError


class PreBindPlugin(Plugin):
    """Prepares the binding."""

    def takes_time(self, state: CycleState, pod: PodInfo, node: str) -> bool:
        """Is there anything to prepare? Then others are told at once where the pod will go."""
        return False

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """A status sends the pod back to the queue."""
        raise NotImplementedError


class BindPlugin(Plugin):
    """Binds the pod."""

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        """SKIP leaves it to the next bind plugin."""
        raise NotImplementedError


class PostBindPlugin(Plugin):
    """Hears of bound pods."""

    def post_bind(self, state: CycleState, pod: PodInfo, node: str) -> None:
        """For information only."""
        raise NotImplementedError


def scale_to_maximum(scores: Scores, feasible: Mask, *, reverse: bool = False) -> Scores:
    """Scale so that the best feasible node has 100; reversed, the worst has 0."""
    top = float(scores[feasible].max(initial=0.0))
    if top == 0.0:
        return np.full_like(scores, MAX_SCORE) if reverse else scores
    scaled = np.floor(scores * (MAX_SCORE / top) + 1e-9)
    return MAX_SCORE - scaled if reverse else scaled


def spread_out(scores: Scores, feasible: Mask) -> Scores:
    """Scale so that the best feasible node has 100 and the worst 0; all 0 where they are equal."""
    seen = scores[feasible]
    bottom, top = float(seen.min()), float(seen.max())
    if top == bottom:
        return np.zeros_like(scores)
    scaled: Scores = np.floor(MAX_SCORE * ((scores - bottom) / (top - bottom)) + 1e-9)
    return scaled
