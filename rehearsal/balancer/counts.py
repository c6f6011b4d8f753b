"""What an Application Load Balancer counts, by balancer: as on AWS, a metric is sent only where it isn't zero."""

from __future__ import annotations

from collections import Counter
from typing import Any

NAMESPACE = "AWS/ApplicationELB"
TARGET_FAILED = (502, 504)
EVERY_SECONDS = 10.0  # AWS's own would be a minute, and a drill is shorter


class Counts:
    """Requests and their answers since the last taking."""

    def __init__(self) -> None:
        self._counted: Counter[tuple[str, str]] = Counter()

    def answered(self, balancer: str, status: int, *, by_target: bool) -> None:
        """One request was answered, by a target or by the balancer itself."""
        # AWS counts the requests for which a target was chosen.
        self._counted[balancer, "RequestCount"] += by_target or status in TARGET_FAILED
        if status >= 200 and (by_target or status >= 400):
            self._counted[balancer, f"HTTPCode_{'Target' if by_target else 'ELB'}_{status // 100}XX_Count"] += 1

    def take(self) -> list[dict[str, Any]]:
        """Data as PutMetricData takes them; counting begins anew."""
        counted, self._counted = self._counted, Counter()
        return [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "LoadBalancer", "Value": balancer}],
                "Value": float(count),
                "Unit": "Count",
            }
            for (balancer, name), count in counted.items()
            if count
        ]
