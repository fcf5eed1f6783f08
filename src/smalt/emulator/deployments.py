"""Deployments and the regional quota they are cut from: what they are, and how the fleet file says it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smalt.emulator.catalogue import MODELS, REGIONS, SKUS, versions_of
from smalt.emulator.rates import PROVISIONED_SKUS, THROUGHPUT
from smalt.emulator.reading import Reader

SUBSCRIPTION = "default"
CONTENT_FILTERS = ("default", "async")

_CAPACITY = "thousands of tokens a minute"
_PTU = "provisioned throughput units"
_FIELDS = {"model", "version", "sku", "capacity", "ptu", "spillover", "content_filter", "faults"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """`capacity`: PTUs of a provisioned SKU, else thousands of tokens a minute, as ARM counts it.

    `version`: of the model; empty for the newest. `spillover`: the standard deployment of the same resource
    that serves what a provisioned one cannot. `content_filter`: default, or async for streams whose text is
    not held back until it is checked.
    """

    name: str
    model: str
    sku: str
    capacity: int
    spillover: str | None = None
    version: str = ""
    content_filter: str = CONTENT_FILTERS[0]

    @property
    def provisioned(self) -> bool:
        return self.sku in PROVISIONED_SKUS

    @property
    def limit_tpm(self) -> int | None:
        """None: provisioned."""
        return None if self.provisioned else self.capacity * 1_000


@dataclass(frozen=True, slots=True)
class Pool:
    """What capacity is granted from. `model`: None for PTUs, which are granted for all models together."""

    subscription: str
    region: str
    sku: str
    model: str | None

    def __str__(self) -> str:
        what = f"{self.model} {self.sku}" if self.model else self.sku
        return f"{what} in {self.region}, subscription {self.subscription}"


def pool_of(subscription: str, region: str, deployment: Deployment) -> Pool:
    model = None if deployment.provisioned else deployment.model
    return Pool(subscription, region, deployment.sku, model)


def used(placed: Iterable[tuple[str, str, Deployment]]) -> Mapping[Pool, int]:
    """Capacity taken from each pool. `placed`: subscription, region and deployment."""
    taken: Counter[Pool] = Counter()
    for subscription, region, deployment in placed:
        taken[pool_of(subscription, region, deployment)] += deployment.capacity
    return taken


def read_deployment(reader: Reader, path: str, name: str, value: object) -> Deployment:
    fields = reader.mapping(path, value, _FIELDS)
    sku = reader.one_of(f"{path}.sku", fields.get("sku", "Standard"), SKUS)
    provisioned = sku in PROVISIONED_SKUS
    models = [name for name in MODELS if name in THROUGHPUT] if provisioned else MODELS
    model = reader.one_of(f"{path}.model", fields.get("model"), models)
    version = str(fields.get("version", ""))
    if version and model:
        reader.one_of(f"{path}.version", version, versions_of(model))
    spillover = fields.get("spillover")
    if spillover is not None and sku and not provisioned:
        reader.tell(f"{path}.spillover", f"only a provisioned deployment has it; {sku} is served per token")
    return Deployment(
        name=name,
        model=model,
        sku=sku,
        capacity=_capacity(reader, path, fields, provisioned=provisioned),
        spillover=None if spillover is None else str(spillover),
        version=version,
        content_filter=reader.one_of(
            f"{path}.content_filter", fields.get("content_filter", CONTENT_FILTERS[0]), CONTENT_FILTERS
        ),
    )


def check_spillovers(reader: Reader, path: str, deployments: Mapping[str, Deployment]) -> None:
    """Each must lead to a standard deployment beside it."""
    for name, deployment in deployments.items():
        target = deployments.get(deployment.spillover or "")
        if deployment.spillover is not None and (target is None or target.provisioned):
            standard = ", ".join(other.name for other in deployments.values() if not other.provisioned)
            reader.tell(
                f"{path}.{name}.spillover",
                f"got {deployment.spillover!r}; name a standard deployment of the same resource: "
                f"{standard or 'there is none'}",
            )


def read_quotas(reader: Reader, value: object) -> Mapping[Pool, int]:
    """The list `quotas`: how much capacity each pool has."""
    quotas: dict[Pool, int] = {}
    if not isinstance(value, list):
        reader.tell("quotas", "write a list of mappings with region, sku, model and capacity, or ptu")
        return quotas
    for index, entry in enumerate(value):
        path = f"quotas[{index}]"
        fields = reader.mapping(path, entry, {"subscription", "region", "sku", "model", "capacity", "ptu"})
        sku = reader.one_of(f"{path}.sku", fields.get("sku", "Standard"), SKUS)
        provisioned = sku in PROVISIONED_SKUS
        if provisioned and "model" in fields:
            reader.tell(f"{path}.model", "leave it out: PTUs are granted for all models together")
        model = None if provisioned else reader.one_of(f"{path}.model", fields.get("model"), MODELS)
        region = reader.one_of(f"{path}.region", fields.get("region"), REGIONS)
        pool = Pool(str(fields.get("subscription", SUBSCRIPTION)), region, sku, model)
        if pool in quotas:
            reader.tell(path, f"the quota of {pool} is given twice")
        quotas[pool] = _capacity(reader, path, fields, provisioned=provisioned)
    return quotas


def check_quotas(reader: Reader, quotas: Mapping[Pool, int], taken: Mapping[Pool, int]) -> None:
    """Azure divides a quota among deployments: together they cannot have more than all of it."""
    for pool, quota in quotas.items():
        if taken.get(pool, 0) > quota:
            unit = "PTU" if pool.model is None else _CAPACITY
            reader.tell(
                "quotas", f"the deployments of {pool} take {taken[pool]} {unit} of {quota}; make them smaller"
            )


def _capacity(reader: Reader, path: str, fields: Mapping[str, object], *, provisioned: bool) -> int:
    name, other = ("ptu", "capacity") if provisioned else ("capacity", "ptu")
    if other in fields:
        what = "provisioned: write ptu" if provisioned else "paid per token: write capacity"
        reader.tell(f"{path}.{other}", f"this SKU is {what} instead")
    return reader.whole(f"{path}.{name}", fields.get(name), 1, 1_000_000, _PTU if provisioned else _CAPACITY)
