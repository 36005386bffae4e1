"""The queries of promql_benchmark: what dashboards ask, over which table and time."""

import dataclasses

# How VictoriaMetrics' answer compares with Prometheus'.
SAME = "same"
# rate() without extrapolation, with the sample before the window: other values by design.
OTHER_RATE = "other rate"


@dataclasses.dataclass
class Query:
    name: str
    expr: str
    hours: float = 0          # 0: an instant query
    step_s: int = 60
    victoriametrics: str = SAME
    # Of equal values any may be among the k: only the values are compared.
    has_ties: bool = False
    # Asks for the values of this label instead, of the series that `expr` selects ("" is all).
    label: str = ""


_USER = "cpu_usage_user"
_FIVE_HOSTS = 'host=~"host_(1|12|23|34|45)"'

HOST_QUERIES = (
    Query("instant, 1 series", f'{_USER}{{host="host_17"}}'),
    Query("instant, all series", _USER),
    Query("instant, sum by (region)", f"sum by (region) ({_USER})"),
    Query("range 1 h, 1 host", f'{_USER}{{host="host_17"}}', 1),
    Query("max 12 h, 5 hosts", f"max({_USER}{{{_FIVE_HOSTS}}})", 12),
    Query("max by (host) 12 h, 5 hosts", f"max by (host) ({_USER}{{{_FIVE_HOSTS}}})", 12),
    Query("avg by (region) 12 h", f"avg by (region) ({_USER})", 12),
    Query("sum by (region) (rate) 12 h", "sum by (region) (rate(cpu_context_switches[5m]))", 12,
          victoriametrics=OTHER_RATE),
    Query("rate 1 h, 1 host", 'rate(cpu_context_switches{host="host_17"}[5m])', 1,
          victoriametrics=OTHER_RATE),
    Query("avg_over_time[1h] by (host) 12 h", f"avg by (host) (avg_over_time({_USER}[1h]))", 12,
          step_s=3600),
    Query("max_over_time[1h] by (region) 12 h", f"max by (region) (max_over_time({_USER}[1h]))", 12,
          step_s=3600),
    Query("topk(5) 1 h", f"topk(5, {_USER})", 1, has_ties=True),
    Query("quantile(0.9) 1 h", f"quantile(0.9, {_USER})", 1),
    Query("histogram_quantile by (service) 1 h",
          "histogram_quantile(0.9, sum by (service, le) (rate(http_request_duration_bucket[5m])))",
          1, victoriametrics=OTHER_RATE),
    Query("regex on host, 1 of 10, 1 h", f'sum by (region) ({_USER}{{host=~".*7"}})', 1),
    Query("regex on service, 3 of 20, 1 h",
          f'avg by (service) ({_USER}{{service=~"service_(1|2|3)",service_environment!="test"}})',
          1),
    Query("label values, 1 h", "", 1, label="host"),
    Query("label values of a metric, 1 h", _USER, 1, label="host"),
    Query("ratio of two sums 1 h",
          f"sum by (region) ({_USER} > 50) / sum by (region) ({_USER})", 1),
)

# Over the 30 days before the others begin.
DISK_QUERIES = (
    Query("avg by (region) 30 d", "avg by (region) (disk_used_percent)", 720, step_s=3600),
    Query("max_over_time[6h] 30 d, 1 host", 'max_over_time(disk_used_percent{host="host_17"}[6h])',
          720, step_s=3600),
)

SENSOR_QUERIES = (
    Query("topk(10) of 1/10", 'topk(10, sensor_value{region="eu-west-1"})'),
    Query("count by (region) of 1/10", 'count by (region) (sensor_value{zone="zone_3"})'),
    Query("count by (region), all series", "count by (region) (sensor_value)"),
    Query("sum by (team), all series", "sum by (team) (sensor_value)"),
    Query("1 of the series", 'sensor_value{id="s0000017"}'),
)
