#include "exec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener.h"

#define BACKLOG 128
/* In one go, so that no client holds up the rest. */
#define ACCEPTS 16
#define READS 8

bool exec_open(struct exec *exec, const char *path)
{
	memset(exec, 0, sizeof *exec);
	for (unsigned int i = 0; i < SESSION_ADDED; i++)
		exec->places[i].client = -1;
	exec->listener = listener_bind(path);
	return exec->listener >= 0;
}

void exec_listen(struct exec *exec)
{
	exec->listens = exec->listener >= 0 && listen(exec->listener, BACKLOG) == 0;
}

static void hang_up(struct exec_place *place)
{
	if (place->client >= 0)
		close(place->client);
	place->client = -1;
	if (place->relay)
		relay_leave(place->relay);
}

static void forget(struct exec_place *place)
{
	if (place->client >= 0)
		close(place->client);
	if (place->relay)
		munmap(place->relay, sizeof *place->relay);
	*place = (struct exec_place){ .client = -1 };
}

/* A new socket has room for this. */
static void refuse(int client, const char *sentence)
{
	uint8_t frame[URUNC_FRAME_HEADER + 4 + 128];
	uint8_t *payload = frame + URUNC_FRAME_HEADER;
	uint32_t length = 4 + (uint32_t)strlen(sentence) + 1;

	urunc_frame_encode(frame, &(struct urunc_frame){ length, URUNC_FAILED, urunc_stream(1, URUNC_CONTROL) });
	urunc_put32(payload, 128);
	memcpy(payload + 4, sentence, length - 4);
	(void)!send(client, frame, URUNC_FRAME_HEADER + length, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(client);
}

/* False: no place, number or memory is left. */
static bool take_place(struct exec *exec, struct session *session, int client)
{
	unsigned int i = 0;
	void *area;

	while (i < SESSION_ADDED && exec->places[i].relay)
		i++;
	if (i == SESSION_ADDED)
		return false;
	area = mmap(NULL, sizeof(struct relay), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return false;
	if (!relay_open(area, session)) {
		munmap(area, sizeof(struct relay));
		return false;
	}
	exec->places[i] = (struct exec_place){ client, area };
	return true;
}

static void accept_clients(struct exec *exec, struct session *session)
{
	char sentence[96];

	for (int i = 0; i < ACCEPTS; i++) {
		int client = accept4(exec->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0)
			return;
		if (take_place(exec, session, client))
			continue;
		snprintf(sentence, sizeof sentence, "too many processes at a time: %u are possible", SESSION_ADDED);
		refuse(client, sentence);
	}
}

static void read_client(struct exec_place *place)
{
	for (int i = 0; i < READS && place->client >= 0; i++) {
		size_t room = relay_in_room(place->relay);
		ssize_t got = room ? recv(place->client, relay_in_at(place->relay), room, MSG_DONTWAIT) : 0;

		if (room == 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
			return;
		if (got <= 0 || !relay_in(place->relay, (size_t)got))
			hang_up(place);
	}
}

static void write_client(struct exec_place *place)
{
	while (place->client >= 0) {
		struct session_span out = relay_out(place->relay);
		ssize_t sent = out.length ? send(place->client, out.bytes, out.length, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;

		/* A connection that has been closed is noticed by poll(2). */
		if (sent < 0)
			return;
		relay_out_sent(place->relay, (size_t)sent);
	}
}

void exec_choose(struct exec *exec, struct pollfd slots[EXEC_SLOTS])
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++) {
		const struct exec_place *place = &exec->places[i];
		short events = 0;

		if (place->client >= 0 && relay_in_room(place->relay) > 0)
			events |= POLLIN;
		if (place->client >= 0 && relay_out(place->relay).length > 0)
			events |= POLLOUT;
		slots[i] = (struct pollfd){ place->client, events, 0 };
	}
	slots[SESSION_ADDED] = (struct pollfd){ exec->listens ? exec->listener : -1, POLLIN, 0 };
}

void exec_serve(struct exec *exec, struct session *session, const struct pollfd slots[EXEC_SLOTS])
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++) {
		struct exec_place *place = &exec->places[i];

		/* Both ways are closed: whatever it sent before, it does not want its process any more. */
		if (slots[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			hang_up(place);
		else if (slots[i].revents & POLLIN)
			read_client(place);
	}
	if (slots[SESSION_ADDED].revents)
		accept_clients(exec, session);
}

bool exec_event(struct exec *exec, const struct session_event *event)
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++)
		if (exec->places[i].relay && &exec->places[i].relay->process == event->added)
			return relay_event(exec->places[i].relay, event);
	return true;
}

bool exec_waits(const struct exec *exec)
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++)
		if (exec->places[i].relay && relay_waits(exec->places[i].relay))
			return true;
	return false;
}

bool exec_put(struct exec *exec, struct session *session)
{
	if (!session_room(session))
		return false;
	for (unsigned int i = 1; i <= SESSION_ADDED; i++) {
		unsigned int which = (exec->last + i) % SESSION_ADDED;
		struct relay *relay = exec->places[which].relay;

		if (!relay || !relay_waits(relay))
			continue;
		relay_put(relay, session);
		exec->last = which;
		return true;
	}
	return false;
}

void exec_flush(struct exec *exec, struct session *session)
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++) {
		struct exec_place *place = &exec->places[i];

		if (!place->relay)
			continue;
		write_client(place);
		if (!relay_over(place->relay))
			continue;
		relay_close(place->relay, session);
		forget(place);
	}
}

void exec_close(struct exec *exec, struct session *session)
{
	for (unsigned int i = 0; i < SESSION_ADDED; i++) {
		if (exec->places[i].relay)
			session_remove(session, &exec->places[i].relay->process);
		forget(&exec->places[i]);
	}
	if (exec->listener >= 0)
		close(exec->listener);
	exec->listener = -1;
	exec->listens = false;
}
