//! From two PEM files to a configuration of rustls. Imports: nothing of ours.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, InconsistentKeys, ServerConfig};

use super::TlsFiles;
use super::problem::{FileKind, TlsProblem};

/// The one protocol that is spoken above TLS.
const ALPN: &[u8] = b"http/1.1";

/// What a key begins with that wants a password: PKCS #8, and the older form of OpenSSL.
const ENCRYPTED: [&str; 2] = [
    "-----BEGIN ENCRYPTED PRIVATE KEY-----",
    "Proc-Type: 4,ENCRYPTED",
];

/// Reads certificate and key, and checks that they belong together. TLS 1.2 and 1.3, with the ciphers
/// that rustls takes by itself.
pub(super) fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsProblem> {
    let chain = chain(&files.cert)?;
    let key = key(&files.key)?;
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsProblem::Mismatch {
            cert: files.cert.clone(),
            key: files.key.clone(),
        },
        error => TlsProblem::Unusable {
            cert: files.cert.clone(),
            key: files.key.clone(),
            problem: error.to_string(),
        },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let kind = FileKind::Certificate;
    let bytes = read(path, kind)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| damaged(path, kind, &error))?;
    if chain.is_empty() {
        return Err(TlsProblem::Absent {
            kind,
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    let kind = FileKind::Key;
    let bytes = read(path, kind)?;
    let text = String::from_utf8_lossy(&bytes);
    if ENCRYPTED.iter().any(|mark| text.contains(mark)) {
        return Err(TlsProblem::Encrypted {
            path: path.to_owned(),
        });
    }
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(TlsProblem::Absent {
            kind,
            path: path.to_owned(),
        }),
        Err(error) => Err(damaged(path, kind, &error)),
    }
}

fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, TlsProblem> {
    std::fs::read(path).map_err(|source| TlsProblem::Unreadable {
        kind,
        path: path.to_owned(),
        source,
    })
}

fn damaged(path: &Path, kind: FileKind, error: &pem::Error) -> TlsProblem {
    TlsProblem::Damaged {
        kind,
        path: path.to_owned(),
        // Lines of a key stand in no message.
        problem: match error {
            pem::Error::MissingSectionEnd { .. } => "its line `-----END` is missing".to_owned(),
            pem::Error::IllegalSectionStart { .. } => {
                "a line `-----BEGIN` is broken off".to_owned()
            }
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use rcgen::generate_simple_self_signed;

    use super::*;
    use crate::base::fs::write_atomic;

    /// Writes a new certificate with its key.
    pub(in crate::http::tls) fn renew(files: &TlsFiles) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        write_atomic(&files.cert, made.cert.pem().as_bytes()).unwrap();
        write_atomic(&files.key, made.signing_key.serialize_pem().as_bytes()).unwrap();
    }

    pub(in crate::http::tls) fn in_folder(dir: &Path) -> TlsFiles {
        TlsFiles {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        }
    }

    /// What `server_config` says of files with these contents, without the folder.
    fn told(cert: Option<&str>, key: Option<&str>) -> String {
        let tmp = tempfile::tempdir().unwrap();
        let files = in_folder(tmp.path());
        renew(&files);
        let put = |path: &PathBuf, content: Option<&str>| {
            if let Some(content) = content {
                write_atomic(path, content.as_bytes()).unwrap();
            }
        };
        put(&files.cert, cert);
        put(&files.key, key);
        match server_config(&files) {
            Ok(_) => "fine".to_owned(),
            Err(problem) => problem
                .to_string()
                .replace(&format!("{}/", tmp.path().display()), ""),
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_file() {
        let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = other.signing_key.serialize_pem();
        let half = other.split_once("-----END").unwrap().0;
        let scribbled = other.replacen("\nM", "\n?", 1);
        let both = format!("{other}-----BEGIN X-----\n");
        for (cert, key, expected) in [
            (None, None, "fine"),
            (Some(""), None, "`cert.pem` holds no certificate"),
            (Some(&*other), None, "`cert.pem` holds no certificate"),
            (None, Some(""), "`key.pem` holds no private key"),
            (
                None,
                Some(&*other),
                "the private key `key.pem` does not belong to the certificate `cert.pem`",
            ),
            (
                None,
                Some(
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                ),
                "the private key `key.pem` is encrypted",
            ),
            (
                None,
                Some(
                    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
                ),
                "the private key `key.pem` is encrypted",
            ),
            // Only the first key counts.
            (
                None,
                Some(&*both),
                "the private key `key.pem` does not belong to the certificate `cert.pem`",
            ),
        ] {
            assert_eq!(told(cert, key), expected);
        }
        for damaged in [half, &scribbled] {
            let told = told(None, Some(damaged));
            assert!(
                told.starts_with("the private key `key.pem` is damaged: "),
                "{told}"
            );
        }
        let rubbish = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let told = told(None, Some(rubbish));
        assert!(
            told.starts_with("the certificate `cert.pem` cannot be used with `key.pem`: "),
            "{told}"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let files = in_folder(tmp.path());
        let problem = server_config(&files).unwrap_err();
        assert!(matches!(
            &problem,
            TlsProblem::Unreadable { kind: FileKind::Certificate, path, .. } if *path == files.cert
        ));
    }
}
