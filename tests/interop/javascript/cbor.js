// CBOR as PKT-6 and PKT-7 of SPEC.md ask for it: the cborg package, told to be stricter.
import { Token, Tokenizer, Type, decodeFirst, encode as encodeCbor } from 'cborg';
export class ProtocolError extends Error {} // the peer broke a clause: CLOSE(PROTOCOL_ERROR)
export const fail = (clause, what) => { throw new ProtocolError(`${clause}: ${what}`); };
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
class StrictTokenizer extends Tokenizer { // cborg itself refuses tags, simple values and repeated keys
  #items = 0;
  #missing = []; // of each array and map around this place: how many items are still to come
  next() {
    while (this.#missing.at(-1) === 0) this.#missing.pop();
    if (this.#missing.length) this.#missing[this.#missing.length - 1] -= 1;
    if ((this.#items += 1) > 1024) fail('PKT-7', 'more than 1,024 items');
    const token = super.next(), { type, value, byteValue } = token;
    if (type === Type.array || type === Type.map) this.#missing.push(type === Type.map ? value * 2 : value);
    if (this.#missing.length > 16) fail('PKT-6', 'more than 16 levels');
    if (typeof value === 'bigint') token.value = value === 2n ** 53n || value === -(2n ** 53n) ? Number(value) : fail('PKT-6', 'beyond 2^53');
    if (type === Type.float) token.value = Object(value); // boxed, for 1.0 is no integer
    if (byteValue) token.value = utf8.decode(byteValue); // cborg would replace what is no UTF-8
    return token;
  }
}
const OPTIONS = { allowIndefinite: false, allowUndefined: false, allowBigInt: true, rejectDuplicateMapKeys: true, retainStringBytes: true };
export function decode(input) { // the item that begins `input`, and the bytes behind it
  try {
    return decodeFirst(input, { ...OPTIONS, tokenizer: new StrictTokenizer(input, OPTIONS) });
  } catch (error) { return fail('PKT-6', error.message); }
}
const number = (n) => (Math.abs(n) === 2 ** 53 ? new Token(n > 0 ? Type.uint : Type.negint, BigInt(n)) : null); // cborg makes it a float
export const encode = (array) => encodeCbor(array, { mapSorter: undefined, typeEncoders: { number } }); // maps keep their order
