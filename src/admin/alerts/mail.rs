//! Alerts by e-mail, through the SMTP host of the settings.
//!
//! Invariant: the password comes from a file and is in no text.

use std::fs;
use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::http::told;
use super::receivers::Message;
use crate::config::{Alerts as Settings, MailTls};

/// How long sending may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How mail is sent, and to whom.
pub struct Mail {
    host: String,
    port: u16,
    tls: MailTls,
    credentials: Option<Credentials>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Mail {
    /// What the settings say. Blocks.
    ///
    /// # Errors
    /// An address is none, or the password's file cannot be read.
    pub fn load(settings: &Settings) -> Result<Self, String> {
        let (host, port) = settings
            .mail_server
            .rsplit_once(':')
            // An IPv6 address stands in brackets.
            .and_then(|(host, port)| {
                Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
            })
            .ok_or("alerts.mail_server: write HOST:PORT")?;
        let mailbox = |text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("\"{text}\" is no address: {error}"))
        };
        let to: Result<Vec<_>, _> = settings.mail_to.iter().map(mailbox).collect();
        let credentials = if settings.mail_user.is_empty() {
            None
        } else {
            let file = &settings.mail_password_file;
            let told = |error: std::io::Error| format!("{}: {error}", file.display());
            let password = fs::read_to_string(file).map_err(told)?;
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            Some(Credentials::new(settings.mail_user.clone(), password))
        };
        let (from, to) = (mailbox(&settings.mail_from)?, to?);
        Ok(Self { host, port, tls: settings.mail_tls, credentials, from, to })
    }

    /// Whether it needs CAs.
    pub fn is_encrypted(&self) -> bool {
        self.tls != MailTls::None
    }

    /// What it is called.
    pub fn name(&self) -> String {
        format!("mail {}:{}", self.host, self.port)
    }

    /// Sends one mail to all.
    ///
    /// # Errors
    /// What the host, or the way to it, says.
    pub async fn send(
        &self,
        message: &Message,
        trusted: &[CertificateDer<'static>],
    ) -> Result<(), String> {
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(message.title())
            .header(ContentType::TEXT_PLAIN);
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let mail =
            mail.body(message.lines().join("\n\n") + "\n").map_err(|error| error.to_string())?;
        let transport = self.transport(trusted)?;
        match tokio::time::timeout(TIMEOUT, transport.send(mail)).await {
            Ok(sent) => sent.map(drop).map_err(|error| told(&error)),
            Err(_) => Err(format!("not sent within {} s{}", TIMEOUT.as_secs(), self.hint())),
        }
    }

    /// What makes a server silent that is there: it waits for TLS, and is waited for.
    fn hint(&self) -> &'static str {
        match self.tls {
            MailTls::Starttls => {
                ": if its port begins with TLS, as 465 does, alerts.mail_tls is \"tls\""
            }
            MailTls::Tls | MailTls::None => "",
        }
    }

    fn transport(
        &self,
        trusted: &[CertificateDer<'static>],
    ) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let parameters = || {
            let mut parameters =
                TlsParameters::builder(self.host.clone()).certificate_store(CertificateStore::None);
            for one in trusted {
                if let Ok(certificate) = Certificate::from_der(one.to_vec()) {
                    parameters = parameters.add_root_certificate(certificate);
                }
            }
            parameters.build().map_err(|error| error.to_string())
        };
        let tls = match self.tls {
            MailTls::None => Tls::None,
            MailTls::Starttls => Tls::Required(parameters()?),
            MailTls::Tls => Tls::Wrapper(parameters()?),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .tls(tls);
        if let Some(credentials) = &self.credentials {
            transport = transport.credentials(credentials.clone());
        }
        // The time is kept here.
        Ok(transport.timeout(None).build())
    }
}
