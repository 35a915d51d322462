/** Metrics of several processes as one, by the rules that each metric was made with: most are added up. */

import { AggregatorRegistry, type MetricObject } from 'prom-client'

/** @param parts what `Metrics.json` gave, one for each process */
export async function addedUp(parts: readonly (readonly object[])[]): Promise<readonly object[]> {
  return await registryOf(parts).getMetricsAsJSON()
}

/** Prometheus' text format. */
export async function textOf(parts: readonly (readonly object[])[]): Promise<string> {
  return await registryOf(parts).metrics()
}

function registryOf(parts: readonly (readonly object[])[]): ReturnType<typeof AggregatorRegistry.aggregate> {
  // prom-client's types have one array where its code reads one for each process
  return AggregatorRegistry.aggregate(parts as unknown as MetricObject[])
}
