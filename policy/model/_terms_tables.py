"""Parse table of `terms.lark`, made by `python -m policy.lalr.generate`; do not edit."""

# fmt: off

from policy.lalr.engine import Table

TABLE = Table(
    productions=(('selector', 'token', 1), ('selector', 'token', 1), ('selector', 'token', 1),
 ('selector', 'token', 1), ('selector', 'token', 1), ('selector', 'token', 1),
 ('selector', 'token', 1), ('selector', 'token', 1), ('selector', 'token', 1),
 ('selector', 'token', 1), ('selector', 'token', 1), ('range', 'one_port', 1),
 ('ports', 'any_port', 1), ('ranges', 'one_range', 1), ('ports', 'token', 1),
 ('grant_ip', 'any_ip', 1), ('grant_ip', 'ip_range', 1),
 ('range', 'ports_between', 3), ('ranges', 'more_ranges', 3),
 ('grant_ip', 'any_of_protocol', 3), ('grant_ip', 'range_of_protocol', 3)),
    states=({'ANYTHING': 3,
  'AUTOGROUP': 4,
  'DOMAIN_USERS': 5,
  'GROUP': 6,
  'HOST': 7,
  'IPSET': 8,
  'IPV4': 9,
  'IPV6': 10,
  'LOGIN': 11,
  'SERVICE': 12,
  'TAG': 13,
  'selector': 14},
 {'PORT': 15, 'WILDCARD': 16, 'ports': 17, 'range': 18, 'ranges': 19},
 {'PORT': 15, 'PROTOCOL': 20, 'WILDCARD': 21, 'grant_ip': 22, 'range': 23}, 0, 1,
 2, 3, 4, 5, 6, 7, 8, 9, 10, {}, {'$END': -12, 'COMMA': -12, 'DASH': 24}, 12, {},
 13, {'$END': -15, 'COMMA': 25}, {'COLON': 26}, 15, {}, 16, {'PORT': 27},
 {'PORT': 15, 'range': 28}, {'PORT': 15, 'WILDCARD': 29, 'range': 30}, 17, 18, 19,
 20),
    starts={'selector': (0, 14), 'ports': (1, 17), 'grant_ip': (2, 22)},
)

PATTERNS = {'ANYTHING': '\\*\\Z',
 'WILDCARD': '\\*(?!:)',
 'AUTOGROUP': 'autogroup:(?s:.*)',
 'DOMAIN_USERS': 'user:\\*@(?s:.*)',
 'GROUP': 'group:(?s:.*)',
 'IPSET': 'ipset:(?s:.*)',
 'SERVICE': 'svc:(?s:.*)',
 'TAG': 'tag:(?s:.*)',
 'IPV4': '[0-9]+(?:\\.[0-9]+){3}(?:\\/[0-9]+)?\\Z',
 'IPV6': '[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:\\/[0-9]+)?\\Z',
 'LOGIN': '[^@]*@(?s:.*)',
 'HOST': '(?s:.+)',
 'PROTOCOL': '[^:\\s]+(?=:)',
 'PORT': '[0-9]+',
 'COLON': ':',
 'COMMA': ',',
 'DASH': '\\-'}
