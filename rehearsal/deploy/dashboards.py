"""Dashboards."""

from __future__ import annotations

from rehearsal.deploy.cloud import Cloud
from rehearsal.deploy.errors import DeployError
from rehearsal.deploy.kind import Kind, found
from rehearsal.deploy.state import Properties, Resource


class Dashboard(Kind):
    """aws_cloudwatch_dashboard; its name is never automatic."""

    token = "aws:cloudwatch/dashboard:Dashboard"
    service = "cloudwatch"
    tagged = False
    replaced_by = frozenset({"dashboardName"})
    updated_by = frozenset({"dashboardBody"})
    json_texts = frozenset({"dashboardBody"})

    def create(self, cloud: Cloud, inputs: Properties) -> str:
        name: str = inputs["dashboardName"]
        answer = cloud.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=inputs["dashboardBody"])
        complaints = answer.get("DashboardValidationMessages")
        if complaints:
            raise DeployError(f"the dashboard {name} has a mistake: {complaints[0].get('Message')}")
        return name

    def find(self, cloud: Cloud, inputs: Properties) -> list[str]:
        name = inputs["dashboardName"]
        return [name] if self.read(cloud, name, inputs) else []

    def read(self, cloud: Cloud, id_: str, inputs: Properties) -> Properties | None:
        dashboard = found(lambda: cloud.client("cloudwatch").get_dashboard(DashboardName=id_))
        return dashboard and {"dashboardArn": dashboard["DashboardArn"]}

    def update(self, cloud: Cloud, old: Resource, inputs: Properties, changed: frozenset[str]) -> None:
        self.create(cloud, inputs)

    def delete(self, cloud: Cloud, resource: Resource) -> None:
        found(lambda: cloud.client("cloudwatch").delete_dashboards(DashboardNames=[resource.id]))


KINDS = (Dashboard(),)
