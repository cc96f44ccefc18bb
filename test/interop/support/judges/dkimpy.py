# Judges the signatures of mails with dkimpy: ADDRESS PORT FILE..., one line of JSON a file.
# Key records are asked for at the name server given, and nowhere else.

import json
import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
resolver.port = int(sys.argv[2])
resolver.cache = dns.resolver.LRUCache()


def text_record(name, timeout=5):
    answer = resolver.resolve(name.decode("ascii"), "TXT", lifetime=15)
    return b"".join(next(iter(answer)).strings)


def result_of(mail, index):
    try:
        verifier = dkim.DKIM(mail)
        verified = verifier.verify(index, dnsfunc=text_record)
        fields = verifier.signature_fields
        return {
            "domain": fields[b"d"].decode(),
            "selector": fields[b"s"].decode(),
            "result": "pass" if verified else "fail",
        }
    except Exception as error:
        return {"domain": "", "selector": "", "result": f"{type(error).__name__}: {error}"}


for path in sys.argv[3:]:
    with open(path, "rb") as file:
        mail = file.read()
    try:
        names = [name.lower() for name, _ in dkim.DKIM(mail).headers]
        verdicts = [result_of(mail, index) for index in range(names.count(b"dkim-signature"))]
    except Exception as error:
        verdicts = [{"domain": "", "selector": "", "result": f"{type(error).__name__}: {error}"}]
    print(json.dumps(verdicts))
