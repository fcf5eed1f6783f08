"""One resource of the settings, as every probe of it knows it."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from smalt.config.identity import Identity
from smalt.config.schema import Resource
from smalt.doctor.az import Account, account_of
from smalt.doctor.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Patient:
    """`trust`: whose certificates are accepted. `twins`: names of other resources by keys they share with
    this one. `reader`: who reads Key Vaults, if that is none of the resource's own."""

    name: str
    resource: Resource
    trust: ssl.SSLContext
    around: Surroundings
    twins: Mapping[str, str] = field(default_factory=dict, repr=False)
    reader: Identity | None = None

    @property
    def account(self) -> Account:
        return account_of(self.resource)
