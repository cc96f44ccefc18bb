// Large mailbox providers by the names of their MX hosts.
//
// A provider matches when ALL MX hosts of a domain lie under its suffixes, so that a domain which mixes
// providers is not taken for one of them. Shaping rules refer to these names.

/** One provider; `suffixes` begin with a dot. */
export interface MailProvider {
  readonly name: string
  readonly suffixes: readonly string[]
  /** Takes recipients of one domain in a transaction, and refuses those of others for now. */
  readonly takesOneDomain?: true
}

export const mailProviders: readonly MailProvider[] = [
  // Google Workspace Admin Help, "Set up MX records": smtp.google.com, formerly aspmx.l.google.com with
  // alt1 to alt4 and aspmx2 to aspmx5.googlemail.com. gmail.com itself: gmail-smtp-in.l.google.com.
  // Gmail SMTP errors and codes: "451 4.3.0 Multiple destination domains per transaction is unsupported".
  { name: 'google', suffixes: ['.google.com', '.googlemail.com'], takesOneDomain: true },
  // Microsoft Learn, "DNS records for Microsoft 365": <domain>.mail.protection.outlook.com; with DNSSEC
  // <domain>.<code>.mx.microsoft; US Government: .mail.protection.office365.us; 21Vianet in China:
  // .mail.protection.partner.outlook.cn.
  {
    name: 'microsoft-365',
    suffixes: [
      '.mail.protection.outlook.com',
      '.mx.microsoft',
      '.mail.protection.office365.us',
      '.mail.protection.partner.outlook.cn',
    ],
  },
  // MX records of outlook.com, hotmail.com, live.com, msn.com: <domain>.olc.protection.outlook.com.
  { name: 'outlook-com', suffixes: ['.olc.protection.outlook.com'] },
  // MX records of yahoo.com, aol.com, verizon.net and customers: mta5.am0.yahoodns.net,
  // mx-aol.mail.gm0.yahoodns.net. yahoo.co.jp is another company and not here.
  { name: 'yahoo', suffixes: ['.yahoodns.net'] },
  // MX records of icloud.com, me.com, mac.com; Apple Support, "Set up custom domain": mx01, mx02.mail.icloud.com.
  { name: 'icloud', suffixes: ['.mail.icloud.com'] },
  // MX records of customers: mx0a-<id>.pphosted.com, .gpphosted.com (US Government); Proofpoint
  // Essentials: mx1-us1.ppe-hosted.com.
  { name: 'proofpoint', suffixes: ['.pphosted.com', '.gpphosted.com', '.ppe-hosted.com'] },
  // MX records of customers by region: us-smtp-inbound-1.mimecast.com, za-smtp-inbound-1.mimecast.co.za,
  // je-smtp-inbound-1.mimecast-offshore.com.
  { name: 'mimecast', suffixes: ['.mimecast.com', '.mimecast.co.za', '.mimecast-offshore.com'] },
]

const ofOneDomain: ReadonlySet<string> = new Set(
  mailProviders.filter(one => one.takesOneDomain === true).map(one => one.name),
)

/** Does this provider want each domain in a transaction of its own? */
export function takesOneDomain(provider: string | null): boolean {
  return provider !== null && ofOneDomain.has(provider)
}
