use x509_cert::der::pem::decode_vec;
use zeroize::Zeroizing;

/// The bytes in the first PEM section with this label. Other text around it is passed over, as RFC 7468 (section 2) wants it:
/// a certificate has its chain behind it, a key what `openssl pkcs12` says before it. The section itself is read strictly.
pub(crate) fn section(text: &str, label: &'static str) -> Option<Zeroizing<Vec<u8>>> {
    let begin = text.find(&format!("-----BEGIN {label}-----"))?;
    let rest = text.get(begin..)?;
    let end = format!("-----END {label}-----");
    let section = rest.get(..rest.find(&end)? + end.len())?;
    let (found, bytes) = decode_vec(section.as_bytes()).ok()?;
    let bytes = Zeroizing::new(bytes);
    (found == label).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "-----BEGIN ONE-----\nAQID\n-----END ONE-----\n";

    #[track_caller]
    fn check(text: &str, expected: Option<&[u8]>) {
        assert_eq!(section(text, "ONE").as_deref().map(Vec::as_slice), expected, "{text}");
    }

    #[test]
    fn text_around_a_section_is_passed_over() {
        check(ONE, Some(&[1, 2, 3]));
        check(&ONE.replace('\n', "\r\n"), Some(&[1, 2, 3]));
        check(&format!("Bag Attributes\n    localKeyID: 01\n{ONE}\n\n"), Some(&[1, 2, 3]));
        check(&format!("{ONE}{}", ONE.replace("AQID", "BAUG")), Some(&[1, 2, 3]));
        check(&format!("{}{ONE}", ONE.replace("ONE", "TWO")), Some(&[1, 2, 3]));
    }

    #[test]
    fn a_section_is_read_strictly() {
        check("", None);
        check(&ONE.replace("ONE", "TWO"), None);
        check(&ONE.replace("AQID", "AQI"), None);
        check(&ONE.replace("AQID", "AQ=D"), None);
        check(&ONE.replace("AQID", "Proc-Type: 4,ENCRYPTED\n\nAQID"), None);
        check(&ONE.replace("END ONE", "END TWO"), None);
        check(ONE.trim_end_matches("-----\n"), None);
    }
}
