//! Writing families of metrics without ceremony.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::histogram::HistogramSnapshot;

/// Takes families one after the other. A unit becomes the end of the name; counters get `_total`
/// behind it.
#[derive(Debug)]
pub(super) struct Sheet<'e>(DescriptorEncoder<'e>);

impl<'e> Sheet<'e> {
    /// A sheet that writes to `encoder`.
    pub(super) const fn new(encoder: DescriptorEncoder<'e>) -> Self {
        Self(encoder)
    }

    /// A counter without labels.
    pub(super) fn counter(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        value: u64,
    ) -> fmt::Result {
        let mut family =
            self.0
                .encode_descriptor(name, help, unit.as_ref(), MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, f64>(&value, None)
    }

    /// A counter in seconds for each set of labels.
    pub(super) fn seconds<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut family = self
            .0
            .encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (labels, value) in values {
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// A counter for each set of labels.
    pub(super) fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// A gauge without labels.
    pub(super) fn gauge(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        value: u64,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        family.encode_gauge(&value)
    }

    /// A gauge for each set of labels.
    pub(super) fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        values: impl Iterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// A histogram without labels.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        scale: f64,
        value: &HistogramSnapshot,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        write_histogram(family, scale, value)
    }

    /// A histogram for each set of labels; its bounds are divided by `scale`.
    pub(super) fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        scale: f64,
        values: impl Iterator<Item = (L, HistogramSnapshot)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            write_histogram(family.encode_family(&labels)?, scale, &value)?;
        }
        Ok(())
    }
}

fn write_histogram(
    mut encoder: MetricEncoder<'_>,
    scale: f64,
    value: &HistogramSnapshot,
) -> fmt::Result {
    let buckets = value.buckets(scale);
    encoder.encode_histogram::<NoLabelSet>(value.sum(scale), value.count(), &buckets, None)
}
