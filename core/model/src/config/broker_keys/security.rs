//! Authentication, TLS and authorization. Most can carry a listener prefix.

use crate::config::key::{ANY, Validator, at_least, between, config_keys};

const CLIENT_AUTH: &[&str] = &["required", "requested", "none"];

config_keys! { SECURITY:
    "allow.everyone.if.no.acl.found" Boolean ["false"] ANY, ReadOnly Honoured
        "Allows everybody what no ACL speaks of.";
    "authorizer.class.name" String [""] ANY, ReadOnly Honoured
        "Turns authorization on; Kafka's standard authorizer means the one built in.";
    "connections.max.reauth.ms" Long ["0"] ANY, ReadOnly Honoured
        "Milliseconds after which a SASL connection must authenticate again; 0 for never (KIP-368).";
    "delegation.token.expiry.time.ms" Long ["86400000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds until a delegation token must be renewed.";
    "delegation.token.max.lifetime.ms" Long ["604800000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds that a delegation token can live at most.";
    "delegation.token.secret.key" Password [] ANY, ReadOnly AcceptedNoEffect
        "Secret that delegation tokens are made with.";
    "principal.builder.class" Class ["org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"] ANY, PerBroker AcceptedNoEffect
        "Java class that names the user of a connection.";
    "sasl.client.callback.handler.class" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that answers for the client side of SASL.";
    "sasl.enabled.mechanisms" List ["GSSAPI"] ANY, PerBroker Honoured
        "SASL mechanisms that clients may use.";
    "sasl.jaas.config" Password [] ANY, PerBroker Honoured
        "Login module and its options for one mechanism; PLAIN, SCRAM and OAUTHBEARER modules are read.";
    "sasl.kerberos.principal.to.local.rules" List ["DEFAULT"] ANY, PerBroker AcceptedNoEffect
        "How Kerberos names become user names.";
    "sasl.kerberos.service.name" String [] ANY, PerBroker AcceptedNoEffect
        "Kerberos service of the broker.";
    "sasl.login.callback.handler.class" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that answers for a SASL login.";
    "sasl.login.class" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that performs a SASL login.";
    "sasl.login.connect.timeout.ms" Int [] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds to connect to a login provider.";
    "sasl.login.read.timeout.ms" Int [] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds to read from a login provider.";
    "sasl.login.refresh.buffer.seconds" Short ["300"] between(0, 3600), PerBroker AcceptedNoEffect
        "Seconds before its end at which a login is renewed at the latest.";
    "sasl.mechanism.controller.protocol" String ["GSSAPI"] ANY, ReadOnly Honoured
        "SASL mechanism towards controllers.";
    "sasl.mechanism.inter.broker.protocol" String ["GSSAPI"] ANY, PerBroker Honoured
        "SASL mechanism between brokers.";
    "sasl.oauthbearer.clock.skew.seconds" Int ["30"] ANY, ReadOnly Honoured
        "Seconds that the clocks of broker and token issuer may differ.";
    "sasl.oauthbearer.expected.audience" List [""] ANY, ReadOnly Honoured
        "Audiences of which a token must name one.";
    "sasl.oauthbearer.expected.issuer" String [] ANY, ReadOnly Honoured
        "Issuer that a token must name.";
    "sasl.oauthbearer.header.urlencode" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "Encodes the client id and secret for the token endpoint.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms" Long ["3600000"] ANY, ReadOnly Honoured
        "Milliseconds between two reads of the issuer's keys.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" Long ["10000"] ANY, ReadOnly Honoured
        "Longest wait in milliseconds before the issuer's keys are asked for again.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" Long ["100"] ANY, ReadOnly Honoured
        "First wait in milliseconds before the issuer's keys are asked for again.";
    "sasl.oauthbearer.jwks.endpoint.url" String [] ANY, ReadOnly Honoured
        "Where the issuer's keys are: an https URL or a file URL.";
    "sasl.oauthbearer.scope.claim.name" String ["scope"] ANY, ReadOnly Honoured
        "Claim that holds the scope.";
    "sasl.oauthbearer.sub.claim.name" String ["sub"] ANY, ReadOnly Honoured
        "Claim that holds the user name.";
    "sasl.oauthbearer.token.endpoint.url" String [] ANY, ReadOnly Honoured
        "Where this broker gets tokens of its own.";
    "sasl.server.callback.handler.class" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that answers for the server side of SASL.";
    "sasl.server.max.receive.size" Int ["524288"] ANY, ReadOnly Honoured
        "Largest message in bytes before a connection has authenticated.";
    "ssl.allow.dn.changes" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "Lets a renewed certificate have another subject.";
    "ssl.allow.san.changes" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "Lets a renewed certificate have other alternative names.";
    "ssl.cipher.suites" List [""] ANY, PerBroker Honoured
        "Cipher suites that TLS may use; all safe ones when empty.";
    "ssl.client.auth" String ["none"] Validator::OneOf(CLIENT_AUTH), PerBroker Honoured
        "Whether clients must show a certificate.";
    "ssl.enabled.protocols" List ["TLSv1.2,TLSv1.3"] ANY, PerBroker Honoured
        "TLS versions that clients may use.";
    "ssl.endpoint.identification.algorithm" String ["https"] ANY, PerBroker Honoured
        "How this broker checks the host name of other nodes; empty for not at all.";
    "ssl.engine.factory.class" Class [] ANY, PerBroker AcceptedNoEffect
        "Java class that makes TLS engines.";
    "ssl.key.password" Password [] ANY, PerBroker Honoured
        "Password of the private key.";
    "ssl.keymanager.algorithm" String ["SunX509"] ANY, PerBroker AcceptedNoEffect
        "Key manager of Java.";
    "ssl.keystore.certificate.chain" Password [] ANY, PerBroker Honoured
        "Certificate chain as PEM text (KIP-651).";
    "ssl.keystore.key" Password [] ANY, PerBroker Honoured
        "Private key as PEM text (KIP-651).";
    "ssl.keystore.location" String [] ANY, PerBroker Honoured
        "File with the private key and its certificates.";
    "ssl.keystore.password" Password [] ANY, PerBroker Honoured
        "Password of the key store.";
    "ssl.keystore.type" String ["JKS"] ANY, PerBroker Honoured
        "Format of the key store; PEM and PKCS12 can be read.";
    "ssl.principal.mapping.rules" String ["DEFAULT"] ANY, ReadOnly Honoured
        "How the subject of a certificate becomes a user name (KIP-371).";
    "ssl.protocol" String ["TLSv1.3"] ANY, PerBroker AcceptedNoEffect
        "TLS version that Java starts from.";
    "ssl.provider" String [] ANY, PerBroker AcceptedNoEffect
        "Security provider of Java.";
    "ssl.secure.random.implementation" String [] ANY, PerBroker AcceptedNoEffect
        "Random number generator of Java.";
    "ssl.trustmanager.algorithm" String ["PKIX"] ANY, PerBroker AcceptedNoEffect
        "Trust manager of Java.";
    "ssl.truststore.certificates" Password [] ANY, PerBroker Honoured
        "Trusted certificates as PEM text (KIP-651).";
    "ssl.truststore.location" String [] ANY, PerBroker Honoured
        "File with the trusted certificates.";
    "ssl.truststore.password" Password [] ANY, PerBroker Honoured
        "Password of the trust store.";
    "ssl.truststore.type" String ["JKS"] ANY, PerBroker Honoured
        "Format of the trust store; PEM and PKCS12 can be read.";
    "super.users" String [""] ANY, ReadOnly Honoured
        "Users that no ACL binds, separated by semicolons.";
}
