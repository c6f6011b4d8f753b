"""KMS keys of one region: one for the data in buckets, one for alerts and logs."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.components import policies
from infra.configuration.settings import Settings

KEPT_DAYS = 30  # the time in which a deletion can be cancelled; AWS's longest
REHEARSED_DAYS = 7  # AWS's shortest


class Keys(pulumi.ComponentResource):
    """
    `data` encrypts buckets, `operations` the alerts topic and the log groups.

    Buckets are unreadable without the data key, so it is as protected as they are. With `lock`, Object Lock's mode, it
    stays as long as the objects that are locked under it.
    """

    def __init__(
        self,
        settings: Settings,
        account: pulumi.Input[str],
        region: str,
        *,
        lock: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("vectorfleet:infra:Keys", f"{settings.fleet}-{region}", None, opts)
        self._settings, self._region = settings, region
        account = pulumi.Output.from_input(account)
        protected, complies = settings.data_protection, lock == "compliance"
        holds = lock is not None and (protected or complies)
        policy = policies.locked_data_key if holds else policies.data_key
        self.data = self._key(
            "data",
            account.apply(lambda number: policy(number, region)),
            protected=protected,
            retained=protected or complies,
        )
        self.operations = self._key("operations", account.apply(lambda number: policies.operations_key(number, region)))
        self.register_outputs({"data": self.data.arn, "operations": self.operations.arn})

    def _key(
        self, use: str, policy: pulumi.Output[policies.Policy], *, protected: bool = False, retained: bool = False
    ) -> aws.kms.Key:
        fleet, name = self._settings.fleet, f"{self._settings.fleet}-{self._region}-{use}"
        key = aws.kms.Key(
            name,
            description=f"{use} of fleet {fleet} in {self._region}",
            enable_key_rotation=True,
            deletion_window_in_days=KEPT_DAYS if self._settings.data_protection else REHEARSED_DAYS,
            policy=policy.apply(policies.text),
            tags={"Name": f"{fleet}-{use}", "vectorfleet:fleet": fleet, "vectorfleet:key": use},
            # Children inherit protect, but not retain_on_delete.
            opts=pulumi.ResourceOptions(parent=self, protect=protected, retain_on_delete=retained),
        )
        aws.kms.Alias(name, name=f"alias/{name}", target_key_id=key.key_id, opts=pulumi.ResourceOptions(parent=self))
        return key
