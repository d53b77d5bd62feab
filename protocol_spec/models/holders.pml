/*
 * Two holders of one session, as a model for Spin 6.5.
 *
 * A browser tab is cloned, or a client is restored from an export that is not its newest: then two programs hold
 * the same session, secret, attempt number and counts, and neither knows of the other. What is shown: the server's
 * application sees the messages of one of them only, a holder is never told that a message of its own was delivered
 * when it was the other's, at most one of them keeps the session, the other is told so, and they do not fight for ever.
 *
 * attach.pml has the attach itself in more detail; rules and names are the same. Here holder A has just been answered
 * OPENED, and at any moment holder B may come to be as a copy of A.
 *
 * Sizes: CONNECTIONS all connections of both; MOVES how often a holder leaves a good connection; LOSSES how often the
 * server loses one; UP, DOWN messages per holder and from the server; WINDOW; ROOM; WATCH as in attach.pml.
 */

#ifndef CONNECTIONS
#define CONNECTIONS 5
#endif
#ifndef MOVES
#define MOVES 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef UP
#define UP 1
#endif
#ifndef DOWN
#define DOWN 1
#endif
#ifndef WINDOW
#define WINDOW 1
#endif
#if UP > 7 || DOWN > 7
#error a payload has three bits for its number
#endif
#ifndef ROOM
#define ROOM 3
#endif

hidden byte EXACTLY_ONCE_IN_ORDER; /* I1: the server's application took a prefix of one holder's messages  */
hidden byte TRIMMED_UNDELIVERED;   /* I2: a holder's message leaves its buffer only when it was delivered   */
hidden byte TWO_LIVE_CONNECTIONS;  /* I5: only the newest attached connection has effects                  */
hidden byte LOCKED_OUT;            /* SEC: while the session lives, some holder that has not given up can prove it */
hidden byte TAKEN_OVER;            /* ATT-9: a holder without a double is never told of one                */
hidden byte STUCK;                 /* at rest one holder at most has the session, all is delivered, the other was told */
hidden byte DRIFT;                 /* ATT-11: no drift without a double                                    */

#define I1      1
#define I2      2
#define I5     16
#define SECRET 64
#define NODRIFT 128
#define OWNER  256
#define ENDING 512
#ifndef WATCH
#define WATCH 1023
#endif
#define CHECK(bit, cond, name) assert(!(WATCH & bit) || (cond) || name)

#ifdef WITNESS
c_decl {
  static void witness(int number, const char *text)
  { static char seen[32];
    if (!seen[number]) { seen[number] = 1; printf("witness %d: %s\n", number, text); }
  }
}
#define REACHED(number, text) c_code { witness(number, text); }
#else
#define REACHED(number, text) skip
#endif

/* ------------------------------------------------------------------ state */

#define A 0
#define B 1
#define SERVER 2
#define NONE 255

mtype = { RESUME, RESUMED, RESET, MESSAGE, ACK, CLOSE };

/* Fields: kind; attempt or payload; secret; counts. up: from the holder of the connection, down: from the server. */
chan up[CONNECTIONS] = [ROOM] of { mtype, byte, byte, byte, byte, byte };
chan down[CONNECTIONS] = [ROOM] of { mtype, byte, byte, byte, byte, byte };

/* Counts as in attach.pml, one place for each side. */
byte numbered[3], trimmed[3], wired[3], received[3], delivered[3], told[3], application[3];
chan inbox[3] = [WINDOW + 1] of { byte };

/* A message numbered before the copy is common (tag 0); after it, A's have tag 1 and B's tag 2. */
bool copied;
byte common;         /* the highest number given away when the copy was made */
byte owner;          /* observer: the tag of the first uncommon message that the server's application took */
#define tag(who, number) ((copied && (number) > common) * ((who) + 1))

#define DETACHED 0
#define WAITING 1
#define LIVE 2
#define OVER 3       /* told taken_over or reset: it goes on with a session of its own */
byte phase[2], attempt[2], secret[2];
byte at[3];          /* the connection of each side; NONE = none */
byte opened;         /* connections made so far */
byte holder[CONNECTIONS];
byte moved, lost;

#define NEW 0
#define VERIFIED 1
#define ATTACHED 2
#define CLOSED 3
byte stage[CONNECTIONS];
bool alive;
byte s_attempt, s_confirmed, s_pending;

#define known(x) ((x) == s_confirmed || (x) == s_pending)
#define hopeful(h) (phase[h] != OVER && known(secret[h]))
#define gone(h) (phase[h] == OVER)
#define somebody_can_attach (!alive || hopeful(A) || (copied && hopeful(B)) || (gone(A) && (!copied || gone(B))))

hidden byte kind_, first_, secret_, r_, d_, s_, i_, tag_;

/* ------------------------------------------------------------------ links and counts */

inline drain(x_channel) {
  do
  :: len(x_channel) > 0 -> x_channel?_, _, _, _, _, _
  :: else -> break
  od
}

inline to_server(t_h, t_kind, t_first, t_secret, t_r, t_d, t_s) {
  if
  :: stage[at[t_h]] == CLOSED -> skip
  :: else -> up[at[t_h]]!t_kind, t_first, t_secret, t_r, t_d, t_s
  fi
}

/* Nothing is kept for a holder that has left c [ATT-15], nor for want of room: then the link ends without a word. */
inline to_holder(t_c, t_kind, t_first, t_secret, t_r, t_d, t_s) {
  if
  :: at[holder[t_c]] == t_c && len(down[t_c]) < ROOM -> down[t_c]!t_kind, t_first, t_secret, t_r, t_d, t_s
  :: else -> skip
  fi
}

inline server_leaves(l_c) {
  stage[l_c] = CLOSED;
  drain(up[l_c]);
  if
  :: at[SERVER] == l_c -> at[SERVER] = NONE
  :: else -> skip
  fi
}

/* RESET: the session ends; whoever comes later is answered RESET too. [RST-1, RST-8] */
inline session_ends() {
  CHECK(NODRIFT, copied, DRIFT);
  REACHED(1, "a stale holder ends the session by drift");
  alive = false;
  if
  :: at[SERVER] != NONE ->
     i_ = at[SERVER];
     server_leaves(i_);
     to_holder(i_, RESET, 0, 0, 0, 0, 0)
  :: else -> skip
  fi
}

inline gives_up(g_h) {
  phase[g_h] = OVER;
  drain(down[at[g_h]]);
  at[g_h] = NONE
}

/* Exact counts at an attach [ATT-11]; wrong counts set i_ to 1. */
inline compare_attach_counts(c_side, c_r, c_d, c_s) {
  i_ = (c_r < trimmed[c_side] || c_r > numbered[c_side] || c_d < trimmed[c_side] || c_d > c_r || c_s < received[c_side])
}

inline holder_trims(h_h, h_d) {
  if
  :: h_d > trimmed[h_h] -> trimmed[h_h] = h_d
  :: else -> skip
  fi;
  CHECK(I2, trimmed[h_h] <= application[SERVER] && (trimmed[h_h] <= common || !copied || owner == h_h + 1), TRIMMED_UNDELIVERED)
}

inline server_trims(z_c, z_d) {
  if
  :: z_d > trimmed[SERVER] -> trimmed[SERVER] = z_d
  :: else -> skip
  fi;
  CHECK(I2, trimmed[SERVER] <= application[holder[z_c]], TRIMMED_UNDELIVERED)
}

/* ------------------------------------------------------------------ both sides */

#define live(side) ((side == SERVER && at[SERVER] != NONE) || (side != SERVER && phase[side] == LIVE))
#define amount(side) (DOWN * (side == SERVER) + UP * (side != SERVER))
#define has_room(side) ((side == SERVER && len(down[at[SERVER]]) < ROOM) || \
  (side != SERVER && (stage[at[side]] == CLOSED || len(up[at[side]]) < ROOM)))

inline puts_message(n_side) {
  wired[n_side]++;
  if
  :: n_side == SERVER -> to_holder(at[SERVER], MESSAGE, wired[SERVER], 0, 0, 0, 0)
  :: else ->
     tag_ = tag(n_side, wired[n_side]);
     printf("%c sends message %d on %d\n", 65 + n_side, wired[n_side], at[n_side]);
     to_server(n_side, MESSAGE, wired[n_side] + 8 * tag_, 0, 0, 0, 0)
  fi
}

/* [NUM-1, ATT-12, WIN-1] */
proctype Sends(byte side) {
end:
  do
  :: d_step { live(side) && has_room(side) && wired[side] < numbered[side] ->
       puts_message(side)
     }
  :: d_step { live(side) && has_room(side) && wired[side] == numbered[side] && numbered[side] < amount(side) &&
              numbered[side] - trimmed[side] < WINDOW ->
       numbered[side]++;
       puts_message(side)
     }
  od
}

/* [CNT-3] */
proctype Takes(byte side) {
end:
  do
  :: d_step { len(inbox[side]) > 0 ->
       inbox[side]?first_;
       printf("%c: application takes message %d, tag %d\n", 65 + side + 16 * (side == SERVER), first_ & 7, first_ >> 3);
       CHECK(I1, (first_ & 7) == application[side] + 1, EXACTLY_ONCE_IN_ORDER);
       CHECK(I1, first_ < 8 || owner == 0 || owner == first_ >> 3, EXACTLY_ONCE_IN_ORDER);
       if
       :: first_ >= 8 -> owner = first_ >> 3
       :: else -> skip
       fi;
       application[side]++;
       delivered[side]++
     }
  od
}

/* [ACK-2] */
proctype Acknowledges(byte side) {
end:
  do
  :: d_step { live(side) && has_room(side) && delivered[side] > told[side] ->
       told[side] = delivered[side];
       if
       :: side == SERVER -> to_holder(at[SERVER], ACK, 0, 0, received[SERVER], delivered[SERVER], wired[SERVER])
       :: else -> to_server(side, ACK, 0, 0, received[side], delivered[side], wired[side])
       fi
     }
  od
}

/* ------------------------------------------------------------------ a holder */

#define exists(h) (h == A || copied)

/* The holder sees the end of its connection, after all that was sent on it; to leave earlier is a fault, counted. */
#define ended(h) (stage[at[h]] == CLOSED && len(down[at[h]]) == 0)

/* Leave the present connection, if any, and attach on a new one. [ATT-4, ATT-15] */
proctype Moves(bit h) {
end:
  do
  :: d_step { exists(h) && phase[h] != OVER && opened < CONNECTIONS &&
              (at[h] == NONE || ended(h) || moved < MOVES) ->
       if
       :: at[h] != NONE ->
          if
          :: !ended(h) -> moved++
          :: else -> skip
          fi;
          drain(down[at[h]])
       :: else -> skip
       fi;
       at[h] = opened; holder[opened] = h; opened++;
       attempt[h]++;
       phase[h] = WAITING;
       printf("%c: RESUME %d secret %d on %d\n", 65 + h, attempt[h], secret[h], at[h]);
       up[at[h]]!RESUME, attempt[h], secret[h], received[h], delivered[h], numbered[h]
     }
  od
}

proctype HolderReads(bit h) {
end:
  do
  :: d_step { at[h] != NONE && phase[h] != OVER && len(down[at[h]]) > 0 && has_room(h) ->
       down[at[h]]?kind_, first_, secret_, r_, d_, s_;
       if
       :: kind_ == RESUMED && phase[h] == WAITING && first_ == attempt[h] ->             /* [ATT-8] */
          printf("%c: RESUMED %d secret %d on %d\n", 65 + h, first_, secret_, at[h]);
          compare_attach_counts(h, r_, d_, s_);
          if
          :: i_ ->
             to_server(h, RESET, 0, 0, 0, 0, 0);
             gives_up(h)
          :: else ->
             secret[h] = secret_;
             phase[h] = LIVE;
             holder_trims(h, d_);
             wired[h] = r_;
             told[h] = delivered[h];
#if !FIRST_PACKET_IS_ANY
             to_server(h, ACK, 0, 0, received[h], delivered[h], wired[h])               /* [ATT-3] */
#endif
          fi
       :: kind_ == RESET ->
          printf("%c: RESET on %d\n", 65 + h, at[h]);
          REACHED(2, "a holder is told reset");
          gives_up(h)
       :: kind_ == CLOSE && first_ > attempt[h] ->                                       /* [ATT-9] */
          printf("%c: CLOSE(superseded, %d) on %d, taken over\n", 65 + h, first_, at[h]);
          CHECK(OWNER, copied, TAKEN_OVER);
          REACHED(3, "a holder is told that it was taken over");
          gives_up(h)
       :: kind_ == CLOSE && first_ <= attempt[h] ->                                      /* [ATT-10] */
          printf("%c: CLOSE(superseded, %d) on %d, tries the next\n", 65 + h, first_, at[h]);
          REACHED(4, "a holder is superseded with a number of its own and tries the next");
#if NEVER_TRIES_AGAIN
          gives_up(h)
#else
          drain(down[at[h]]);
          phase[h] = DETACHED; at[h] = NONE
#endif
       :: kind_ == MESSAGE && phase[h] == LIVE ->
          received[h]++; inbox[h]!first_
       :: kind_ == ACK && phase[h] == LIVE ->
          holder_trims(h, d_)
       :: else -> skip
       fi
     }
  od
}

/* B comes to be: a complete copy of A, inbox and all, but not of its connection. */
proctype Copies() {
  d_step {
    phase[A] != OVER ->
    copied = true;
    common = numbered[A];
    attempt[B] = attempt[A]; secret[B] = secret[A];
    numbered[B] = numbered[A]; trimmed[B] = trimmed[A]; received[B] = received[A];
    delivered[B] = delivered[A]; told[B] = told[A]; application[B] = application[A];
    i_ = len(inbox[A]);
    do
    :: i_ > 0 -> inbox[A]?first_; inbox[A]!first_; inbox[B]!first_; i_--
    :: else -> break
    od;
    printf("B is copied from A\n")
  }
}

/* ------------------------------------------------------------------ the server */

inline supersede(u_c) {
  server_leaves(u_c);
  to_holder(u_c, CLOSE, s_attempt, 0, 0, 0, 0)
}

/* [ATT-5] */
inline server_attaches(v_c) {
  up[v_c]?kind_, first_, secret_, r_, d_, s_;
  if
  :: !alive || !known(secret_) ->
     stage[v_c] = CLOSED;
     to_holder(v_c, RESET, 0, 0, 0, 0, 0)
  :: alive && known(secret_) && first_ <= s_attempt ->
     supersede(v_c)                                                             /* [ATT-6] */
  :: else ->
     s_attempt = first_;
     if
     :: at[SERVER] != NONE ->
        REACHED(5, "one holder fences the other");
        i_ = at[SERVER];
        supersede(i_)                                                           /* [ATT-7] */
     :: else -> skip
     fi;
     compare_attach_counts(SERVER, r_, d_, s_);
     at[SERVER] = v_c; stage[v_c] = ATTACHED;
     if
     :: i_ -> session_ends()
     :: else ->
#if ONE_SECRET_FOR_EVER
        skip;
#else
        if
        :: secret_ == s_pending -> s_confirmed = s_pending
        :: else -> skip
        fi;
        s_pending = first_;
#endif
        server_trims(v_c, d_);
        wired[SERVER] = r_;
        told[SERVER] = delivered[SERVER];
        printf("S: attempt %d attaches on %d, secret %d\n", first_, v_c, s_pending);
        to_holder(v_c, RESUMED, first_, s_pending, received[SERVER], delivered[SERVER], numbered[SERVER])
     fi
  fi
}

proctype ServerReads(byte c) {
end:
  do
  :: d_step { stage[c] == NEW && len(up[c]) > 0 ->
       up[c]?<kind_, first_, secret_, r_, d_, s_>;
       if
       :: alive && known(secret_) -> stage[c] = VERIFIED
       :: else ->
          REACHED(6, "the other holder's proof has killed this secret");
          up[c]?_, _, _, _, _, _;
          stage[c] = CLOSED;
          to_holder(c, RESET, 0, 0, 0, 0, 0)                                    /* [ATT-14, SEC-6] */
       fi
     }
  :: d_step { stage[c] == VERIFIED ->
       server_attaches(c);
       CHECK(SECRET, somebody_can_attach, LOCKED_OUT)
     }
  :: d_step { stage[c] == ATTACHED && len(up[c]) > 0 ->
       up[c]?kind_, first_, secret_, r_, d_, s_;
       CHECK(I5, c == at[SERVER], TWO_LIVE_CONNECTIONS);
       if
       :: kind_ == MESSAGE -> received[SERVER]++; inbox[SERVER]!first_
       :: kind_ == ACK ->
          if
          :: s_pending != NONE -> s_confirmed = s_pending; s_pending = NONE     /* [SEC-3] */
          :: else -> skip
          fi;
          server_trims(c, d_)
       :: kind_ == RESET -> session_ends()
       :: else -> skip
       fi;
       CHECK(SECRET, somebody_can_attach, LOCKED_OUT)
     }
  :: d_step { lost < LOSSES && c < opened && stage[c] != CLOSED ->
       lost++;
       server_leaves(c)
     }
  od
}

/* ------------------------------------------------------------------ at rest */

#define settled(h) (phase[h] == LIVE && alive && at[SERVER] == at[h] && application[SERVER] == UP && \
  application[h] == DOWN && trimmed[h] == UP && trimmed[SERVER] == DOWN)

proctype Watches() {
end:
  do
  :: atomic { timeout ->
       REACHED(7, "everything has come to rest");
       CHECK(ENDING, (settled(A) && (!copied || gone(B))) || (gone(A) && copied && (settled(B) || gone(B))), STUCK);
       break
     }
  od
}

init {
  byte c;
  atomic {
    /* A has just taken OPENED on connection 0; its first ACK is under way. */
    at[A] = 0; at[B] = NONE; at[SERVER] = 0; opened = 1;
    phase[A] = LIVE; stage[0] = ATTACHED; alive = true;
    s_confirmed = NONE; s_pending = 0;
#if ONE_SECRET_FOR_EVER
    s_confirmed = 0;
#endif
    up[0]!ACK, 0, 0, 0, 0, 0;
    run Sends(A); run Sends(B); run Sends(SERVER);
    run Takes(A); run Takes(B); run Takes(SERVER);
    run Acknowledges(A); run Acknowledges(B); run Acknowledges(SERVER);
    run Moves(A); run Moves(B);
    run HolderReads(A); run HolderReads(B);
#if !ALONE
    run Copies();
#endif
    do
    :: c < CONNECTIONS -> run ServerReads(c); c++
    :: else -> break
    od;
    c = 0;
    run Watches()
  }
}
