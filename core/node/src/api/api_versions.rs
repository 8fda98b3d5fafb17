//! ApiVersions (API 18), v0 to v4: what this broker serves.
//!
//! - The ranges are those of the table, so that nothing is advertised without a handler.
//! - v3 brings the client's software name and version (KIP-511), which must look like such, and the
//!   levels of features (KIP-584). `metadata.version` is that of Kafka 4.3, which clients and tools
//!   ask for; `transaction.version` and `group.version` are not there, so clients take them for 0.
//! - The response header is v0 in every version. Unknown versions are answered by
//!   [`chronik_protocol::unsupported`], before any handler is asked.

use chronik_model::ErrorCode;
use chronik_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use chronik_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, StrBytes};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request, served_versions};

const METADATA_VERSION: &str = "metadata.version";
/// 3.3-IV3, the oldest level of Kafka 4.
const OLDEST_METADATA_VERSION: i16 = 7;
/// 4.3-IV0.
const CURRENT_METADATA_VERSION: i16 = 30;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ApiVersionsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let response = if reply.version >= 3 && !names_software(&body) {
        ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code())
    } else {
        response(context, reply.version)
    };
    Ok(Outcome::Reply(reply.encode(&response)?))
}

fn response(context: &Context<'_>, version: i16) -> ApiVersionsResponse {
    let ranges = served_versions().into_iter().map(|range| {
        ApiVersion::default()
            .with_api_key(range.api_key.code())
            .with_min_version(range.min_version)
            .with_max_version(range.max_version)
    });
    let response = ApiVersionsResponse::default().with_api_keys(ranges.collect());
    if version < 3 {
        return response;
    }
    let supported = SupportedFeatureKey::default()
        .with_name(StrBytes::from_static_str(METADATA_VERSION))
        .with_min_version(OLDEST_METADATA_VERSION)
        .with_max_version(CURRENT_METADATA_VERSION);
    let finalized = FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str(METADATA_VERSION))
        .with_min_version_level(CURRENT_METADATA_VERSION)
        .with_max_version_level(CURRENT_METADATA_VERSION);
    response
        .with_supported_features(vec![supported])
        .with_finalized_features_epoch(context.view.image.offset().0)
        .with_finalized_features(vec![finalized])
}

fn names_software(body: &ApiVersionsRequest) -> bool {
    is_software_word(&body.client_software_name) && is_software_word(&body.client_software_version)
}

/// Letters and digits, and between them also `-` and `.`.
fn is_software_word(word: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let at_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    at_end(word.chars().next()) && at_end(word.chars().next_back()) && word.chars().all(inside)
}

#[cfg(test)]
mod tests {
    use super::is_software_word;

    #[test]
    fn software_words_are_letters_digits_and_inner_punctuation() {
        let check = |word: &str, expected: bool| {
            assert_eq!(is_software_word(word), expected, "{word:?}");
        };
        check("apache-kafka-java", true);
        check("4.3.1", true);
        check("x", true);
        check("", false);
        check("-x", false);
        check("x.", false);
        check("a b", false);
        check("v1_2", false);
        check("\u{fc}", false);
    }
}
